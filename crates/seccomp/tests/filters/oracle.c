/*
 * libseccomp, asked over standard input and output, one line each. It is loaded when this runs, so that its headers need not be
 * installed.
 *
 *   name TOKEN NAME        the number of a call on an architecture; -1: libseccomp knows no such call
 *   new ACTION LEVEL       a filter: its default action, its level of optimization
 *   only TOKEN             for this architecture instead of the machine's
 *   arch TOKEN             for this architecture too
 *   rule ACTION NAME N (ARG OP A B){N}
 *   export                 the program in hexadecimal, or: error, and which
 *   pseudo                 the filter as libseccomp prints it, with tabs for the ends of lines
 *   time                   as export, after the nanoseconds that all of it took, the making of the filter included
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct condition { unsigned int arg; int op; uint64_t a, b; };

static int (*resolve)(const char *);
static int (*resolve_arch)(uint32_t, const char *);
static void *(*init)(uint32_t);
static void (*release)(void *);
static int (*arch_add)(void *, uint32_t);
static int (*arch_remove)(void *, uint32_t);
static int (*attr_set)(void *, int, uint32_t);
static int (*rule_add)(void *, uint32_t, int, unsigned int, const struct condition *);
static int (*export_bpf)(void *, int);
static int (*export_pfc)(void *, int);

static void *need(void *library, const char *name)
{
	void *found = dlsym(library, name);
	if (!found) {
		fprintf(stderr, "libseccomp has no %s\n", name);
		exit(2);
	}
	return found;
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	void *library = dlopen(argc > 1 ? argv[1] : "libseccomp.so.2", RTLD_NOW);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	resolve = need(library, "seccomp_syscall_resolve_name");
	resolve_arch = need(library, "seccomp_syscall_resolve_name_arch");
	init = need(library, "seccomp_init");
	release = need(library, "seccomp_release");
	arch_add = need(library, "seccomp_arch_add");
	arch_remove = need(library, "seccomp_arch_remove");
	attr_set = need(library, "seccomp_attr_set");
	rule_add = need(library, "seccomp_rule_add_array");
	export_bpf = need(library, "seccomp_export_bpf");
	export_pfc = need(library, "seccomp_export_pfc");

	static char line[4096];
	void *filter = NULL;
	int error = 0;
	int64_t began = 0;
	while (fgets(line, sizeof line, stdin)) {
		char *word = strtok(line, " \n");
		if (!word)
			continue;
		if (!strcmp(word, "name")) {
			uint32_t token = strtoul(strtok(NULL, " \n"), NULL, 0);
			printf("%d\n", resolve_arch(token, strtok(NULL, " \n")));
			fflush(stdout);
		} else if (!strcmp(word, "new")) {
			began = now();
			filter = init(strtoul(strtok(NULL, " \n"), NULL, 0));
			error = filter ? 0 : -1;
			if (filter)
				attr_set(filter, 8 /* SCMP_FLTATR_CTL_OPTIMIZE */, strtoul(strtok(NULL, " \n"), NULL, 0));
		} else if (!strcmp(word, "only") && !error) {
			error = arch_remove(filter, 0);
			if (!error)
				error = arch_add(filter, strtoul(strtok(NULL, " \n"), NULL, 0));
		} else if (!strcmp(word, "arch") && !error) {
			error = arch_add(filter, strtoul(strtok(NULL, " \n"), NULL, 0));
			if (error == -17 /* EEXIST */)
				error = 0;
		} else if (!strcmp(word, "rule")) {
			struct condition conditions[6];
			uint32_t action = strtoul(strtok(NULL, " \n"), NULL, 0);
			int call = resolve(strtok(NULL, " \n"));
			unsigned int count = strtoul(strtok(NULL, " \n"), NULL, 0);
			for (unsigned int i = 0; i < count && i < 6; i++) {
				conditions[i].arg = strtoul(strtok(NULL, " \n"), NULL, 0);
				conditions[i].op = strtoul(strtok(NULL, " \n"), NULL, 0);
				conditions[i].a = strtoull(strtok(NULL, " \n"), NULL, 0);
				conditions[i].b = strtoull(strtok(NULL, " \n"), NULL, 0);
			}
			if (call != -1 && !error)
				error = rule_add(filter, action, call, count, conditions);
		} else if (!strcmp(word, "export") || !strcmp(word, "pseudo") || !strcmp(word, "time")) {
			int pseudo = !strcmp(word, "pseudo"), file = memfd_create("program", 0);
			if (!error)
				error = (pseudo ? export_pfc : export_bpf)(filter, file);
			if (!strcmp(word, "time"))
				printf("%lld ", (long long)(now() - began));
			if (error) {
				printf("error %d\n", error);
			} else {
				unsigned char byte;
				lseek(file, 0, SEEK_SET);
				FILE *program = fdopen(dup(file), "r");
				while (fread(&byte, 1, 1, program) == 1) {
					if (pseudo)
						putchar(byte == '\n' ? '\t' : byte);
					else
						printf("%02x", byte);
				}
				fclose(program);
				printf("\n");
			}
			fflush(stdout);
			close(file);
			if (filter)
				release(filter);
			filter = NULL;
		}
	}
	return 0;
}
