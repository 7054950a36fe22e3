# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rt_global_optspecs
    string join \n root= log= log-format= log-level= debug systemd-cgroup cgroup-manager= rootless= v/version h/help
end

function __fish_rt_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rt_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rt_using_subcommand
    set -l cmd (__fish_rt_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rt -n "__fish_rt_needs_command" -l root -d 'Directory for the state of containers [default: /run/rt, or $XDG_RUNTIME_DIR/rt for an ordinary user]' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_needs_command" -l log -d 'File to append errors to, beside standard error' -r -F
complete -c rt -n "__fish_rt_needs_command" -l log-format -d 'Format of the log' -r -f -a "text\t''
json\t''"
complete -c rt -n "__fish_rt_needs_command" -l log-level -d 'What goes into the log [default: error; warning without a log]' -r -f -a "error\t''
warning\t''
debug\t''"
complete -c rt -n "__fish_rt_needs_command" -l cgroup-manager -d 'Who manages cgroups' -r -f -a "cgroupfs\t'rt, in the cgroup file systems'
systemd\t'systemd'
disabled\t'Nobody: the container stays in the caller\'s cgroup'"
complete -c rt -n "__fish_rt_needs_command" -l rootless -d 'Whether to go without root\'s rights: true is refused by create and run in this version' -r -f -a "true\t''
false\t''
auto\t''"
complete -c rt -n "__fish_rt_needs_command" -l debug -d 'The same as --log-level debug'
complete -c rt -n "__fish_rt_needs_command" -l systemd-cgroup -d 'Leave cgroups to systemd, as --cgroup-manager systemd does'
complete -c rt -n "__fish_rt_needs_command" -s v -l version -d 'Print the version'
complete -c rt -n "__fish_rt_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rt -n "__fish_rt_needs_command" -f -a "create" -d 'Make a container: everything but its program, which waits for start'
complete -c rt -n "__fish_rt_needs_command" -f -a "start" -d 'Let the program of a created container run'
complete -c rt -n "__fish_rt_needs_command" -f -a "run" -d 'Create a container, run its program, wait for its end'
complete -c rt -n "__fish_rt_needs_command" -f -a "exec" -d 'Run one more process in a container'
complete -c rt -n "__fish_rt_needs_command" -f -a "state" -d 'Print the state of a container as JSON'
complete -c rt -n "__fish_rt_needs_command" -f -a "kill" -d 'Send a signal to a container'
complete -c rt -n "__fish_rt_needs_command" -f -a "delete" -d 'Remove a container that has stopped'
complete -c rt -n "__fish_rt_needs_command" -f -a "list" -d 'List containers'
complete -c rt -n "__fish_rt_needs_command" -f -a "spec" -d 'Write an example config.json'
complete -c rt -n "__fish_rt_needs_command" -f -a "explain" -d 'Print what create would do, step by step, without doing it'
complete -c rt -n "__fish_rt_needs_command" -f -a "features" -d 'Print what this rt can do, as JSON'
complete -c rt -n "__fish_rt_needs_command" -f -a "info" -d 'Print what this machine has of what rt needs'
complete -c rt -n "__fish_rt_needs_command" -f -a "completion" -d 'Print a script that completes rt\'s command line'
complete -c rt -n "__fish_rt_needs_command" -f -a "pause" -d 'Stop all processes of a container'
complete -c rt -n "__fish_rt_needs_command" -f -a "resume" -d 'Let the processes of a paused container go on'
complete -c rt -n "__fish_rt_needs_command" -f -a "ps" -d 'List the processes of a container'
complete -c rt -n "__fish_rt_needs_command" -f -a "events" -d 'Print the statistics of a container, and when it runs out of memory'
complete -c rt -n "__fish_rt_needs_command" -f -a "update" -d 'Change the limits of a container'
complete -c rt -n "__fish_rt_using_subcommand create" -s b -l bundle -d 'The bundle: a directory with a config.json' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_using_subcommand create" -s f -l config -d 'Another file instead of the bundle\'s config.json' -r -F
complete -c rt -n "__fish_rt_using_subcommand create" -l console-socket -d 'Socket to send the terminal\'s master to' -r -F
complete -c rt -n "__fish_rt_using_subcommand create" -l pidfd-socket -d 'Socket to send a descriptor of the process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand create" -l pid-file -d 'File to write the number of the container\'s process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand create" -l preserve-fds -d 'Pass on this many descriptors beside standard input, output and error (and those of LISTEN_FDS)' -r
complete -c rt -n "__fish_rt_using_subcommand create" -l no-pivot -d 'Enter the root file system by moving it onto /: for hosts that run from an initramfs'
complete -c rt -n "__fish_rt_using_subcommand create" -l no-new-keyring -d 'Let the container use the caller\'s session keyring'
complete -c rt -n "__fish_rt_using_subcommand create" -l init -d 'Stay in the container as its first process: adopt, reap, pass signals on. With linger=MS, other processes have so many milliseconds after the program\'s end'
complete -c rt -n "__fish_rt_using_subcommand create" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand start" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand run" -s b -l bundle -d 'The bundle: a directory with a config.json' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_using_subcommand run" -s f -l config -d 'Another file instead of the bundle\'s config.json' -r -F
complete -c rt -n "__fish_rt_using_subcommand run" -l console-socket -d 'Socket to send the terminal\'s master to' -r -F
complete -c rt -n "__fish_rt_using_subcommand run" -l pidfd-socket -d 'Socket to send a descriptor of the process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand run" -l pid-file -d 'File to write the number of the container\'s process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand run" -l preserve-fds -d 'Pass on this many descriptors beside standard input, output and error (and those of LISTEN_FDS)' -r
complete -c rt -n "__fish_rt_using_subcommand run" -l no-pivot -d 'Enter the root file system by moving it onto /: for hosts that run from an initramfs'
complete -c rt -n "__fish_rt_using_subcommand run" -l no-new-keyring -d 'Let the container use the caller\'s session keyring'
complete -c rt -n "__fish_rt_using_subcommand run" -l init -d 'Stay in the container as its first process: adopt, reap, pass signals on. With linger=MS, other processes have so many milliseconds after the program\'s end'
complete -c rt -n "__fish_rt_using_subcommand run" -s d -l detach -d 'Do not wait for the end of the program'
complete -c rt -n "__fish_rt_using_subcommand run" -l keep -d 'Do not delete the container when its program has ended'
complete -c rt -n "__fish_rt_using_subcommand run" -l no-subreaper -d 'Do not adopt the container\'s orphans'
complete -c rt -n "__fish_rt_using_subcommand run" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand exec" -l console-socket -d 'Socket to send the terminal\'s master to' -r -F
complete -c rt -n "__fish_rt_using_subcommand exec" -l pidfd-socket -d 'Socket to send a descriptor of the process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand exec" -l pid-file -d 'File to write the number of the container\'s process to' -r -F
complete -c rt -n "__fish_rt_using_subcommand exec" -l preserve-fds -d 'Pass on this many descriptors beside standard input, output and error (and those of LISTEN_FDS)' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -s p -l process -d 'File with the process as in a config.json, or - for standard input' -r -F
complete -c rt -n "__fish_rt_using_subcommand exec" -l cwd -d 'Working directory [default: the container\'s]' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_using_subcommand exec" -s e -l env -d 'One more variable' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -s u -l user -d 'User and group, as numbers' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -s g -l additional-gids -d 'One more group, as a number' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -s c -l cap -d 'One more capability' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -l apparmor -d 'AppArmor profile' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -l process-label -d 'SELinux label' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -l cgroup -d 'A cgroup below the container\'s, which has to be there' -r
complete -c rt -n "__fish_rt_using_subcommand exec" -s t -l tty -d 'Give it a terminal'
complete -c rt -n "__fish_rt_using_subcommand exec" -l no-new-privs -d 'Whether no program can give it more privileges'
complete -c rt -n "__fish_rt_using_subcommand exec" -s d -l detach -d 'Do not wait for its end'
complete -c rt -n "__fish_rt_using_subcommand exec" -l ignore-paused -d 'Also in a container that is paused: it runs when that is resumed'
complete -c rt -n "__fish_rt_using_subcommand exec" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand state" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand kill" -s a -l all -d 'Signal all processes of the container'
complete -c rt -n "__fish_rt_using_subcommand kill" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand delete" -s f -l force -d 'Kill the container first if it runs; one that does not exist is fine'
complete -c rt -n "__fish_rt_using_subcommand delete" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand list" -s f -l format -d 'Format of the list' -r -f -a "table\t''
json\t''"
complete -c rt -n "__fish_rt_using_subcommand list" -s q -l quiet -d 'Print names only'
complete -c rt -n "__fish_rt_using_subcommand list" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand spec" -s b -l bundle -d 'The directory to write config.json to' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_using_subcommand spec" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand explain" -s b -l bundle -d 'The bundle: a directory with a config.json' -r -f -a "(__fish_complete_directories)"
complete -c rt -n "__fish_rt_using_subcommand explain" -s f -l config -d 'Another file instead of the bundle\'s config.json' -r -F
complete -c rt -n "__fish_rt_using_subcommand explain" -l format -d 'Format of the plan' -r -f -a "text\t''
json\t''"
complete -c rt -n "__fish_rt_using_subcommand explain" -l seccomp -d 'Instead of the plan, what the seccomp profile does with one system call' -r
complete -c rt -n "__fish_rt_using_subcommand explain" -l no-pivot -d 'Enter the root file system by moving it onto /: for hosts that run from an initramfs'
complete -c rt -n "__fish_rt_using_subcommand explain" -l no-new-keyring -d 'Let the container use the caller\'s session keyring'
complete -c rt -n "__fish_rt_using_subcommand explain" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand features" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand info" -l format -d 'Format of the facts' -r -f -a "text\t''
json\t''"
complete -c rt -n "__fish_rt_using_subcommand info" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand completion" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand pause" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand resume" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand ps" -s f -l format -d 'Format of the list' -r -f -a "table\t''
json\t''"
complete -c rt -n "__fish_rt_using_subcommand ps" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand events" -l interval -d 'How often to print statistics: 5s, 500ms, 1m30s' -r
complete -c rt -n "__fish_rt_using_subcommand events" -l stats -d 'Print the statistics of this moment, once'
complete -c rt -n "__fish_rt_using_subcommand events" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand update" -s r -l resources -d 'A file with linux.resources as JSON, or - for standard input: the other options are then ignored' -r -F
complete -c rt -n "__fish_rt_using_subcommand update" -l blkio-weight -d 'Share of block I/O, 10 to 1000' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-period -d 'Microseconds that the quota of processor time is for' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-quota -d 'Microseconds of processor time in each period; -1 is unlimited' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-burst -d 'Microseconds of processor time that may be saved up' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-share -d 'Share of processor time, 2 to 262144' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-rt-period -d 'Microseconds that the quota of real-time scheduling is for' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-rt-runtime -d 'Microseconds of real-time scheduling in each period' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpu-idle -d '1: run only when nobody else wants to (SCHED_IDLE)' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpuset-cpus -d 'Processors to use: 0-2,4' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l cpuset-mems -d 'Memory nodes to use: 0-2,4' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l memory -d 'Bytes of memory, or 100k, 64M, 1.5g; -1 is unlimited' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l memory-reservation -d 'Bytes of memory that are kept for it' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l memory-swap -d 'Bytes of memory and swap together; -1 is unlimited' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l kernel-memory -d 'No effect: the kernel has no such limit any more' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l kernel-memory-tcp -d 'No effect: the kernel has no such limit any more' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l pids-limit -d 'Tasks at most; -1 is unlimited' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l l3-cache-schema -d 'Intel RDT: refused, because this version of rt has no cache allocation' -r
complete -c rt -n "__fish_rt_using_subcommand update" -l mem-bw-schema -d 'Intel RDT: refused, because this version of rt has no bandwidth allocation' -r
complete -c rt -n "__fish_rt_using_subcommand update" -s h -l help -d 'Print help'
complete -c rt -n "__fish_rt_using_subcommand start" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand exec" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand state" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand kill" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand delete" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand completion" -f -a "bash zsh fish"
complete -c rt -n "__fish_rt_using_subcommand pause" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand resume" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand ps" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand events" -f -a "(rt list --quiet 2>/dev/null)"
complete -c rt -n "__fish_rt_using_subcommand update" -f -a "(rt list --quiet 2>/dev/null)"
