//! What holds for the order of every plan, whatever the config says.

use crate::generate::{Case, case};
use rt_plan::{Kept, Plan, Request, Spec, Steps, Wait, create, exec};
use rt_wire::{Enter, HookKind, Load, NONE, Step, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

/// Configs that are tried. Some ask for what can't be had.
const CASES: u64 = 1000;

static MADE: LazyLock<Vec<(u64, Case, Plan)>> = LazyLock::new(|| {
    let made: Vec<_> = (0..CASES)
        .filter_map(|seed| {
            let case = case(seed);
            let plan = plan(&case, &case.request)?;
            Some((seed, case, plan))
        })
        .collect();
    assert!(
        made.len() > 600,
        "only {} of {CASES} configs could be planned: the generator asks for nonsense",
        made.len()
    );
    made
});

/// Ask every plan, and say which one it was that had the wrong answer.
fn every_plan(keeps: impl Fn(&Plan, &Case)) {
    for (seed, case, plan) in &*MADE {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| keeps(plan, case))) {
            eprintln!("case {seed}: {}\n{:?}\n{:?}", case.config, case.host, case.request);
            plan.steps.iter().enumerate().for_each(|(index, step)| eprintln!("{:4}  {step}", index + 1));
            resume_unwind(panic);
        }
    }
}

fn plan(case: &Case, request: &Request) -> Option<Plan> {
    create(&Spec::parse(case.config.as_bytes()).ok()?, &case.host, request).ok()
}

fn places(plan: &Plan, wanted: impl Fn(&Step<'_>) -> bool) -> Vec<usize> {
    plan.steps.iter().enumerate().filter(|(_, step)| wanted(step)).map(|(index, _)| index).collect()
}

/// The place of the one step that `wanted` means.
fn place(plan: &Plan, wanted: impl Fn(&Step<'_>) -> bool) -> usize {
    let places = places(plan, wanted);
    assert_eq!(places.len(), 1, "exactly one");
    places[0]
}

fn assert_before(plan: &Plan, first: impl Fn(&Step<'_>) -> bool, second: impl Fn(&Step<'_>) -> bool) {
    if let (Some(last), Some(next)) = (places(plan, first).last(), places(plan, second).first()) {
        assert!(last < next, "step {} comes after step {}", last + 1, next + 1);
    }
}

macro_rules! is {
    ($($variant:ident)|+) => { |step: &Step<'_>| matches!(step, $(Step::$variant { .. })|+) };
}

#[test]
fn the_plans_have_nearly_every_step() {
    let steps = MADE.iter().flat_map(|(_, _, plan)| plan.steps.iter());
    let kinds: BTreeSet<_> =
        steps.filter_map(|step| format!("{step:?}").split(' ').next().map(str::to_owned)).collect();
    // Else what is said below is said of little.
    assert!(kinds.len() >= 53, "{kinds:?}");
}

#[test]
fn a_plan_ends_with_closing_descriptors_and_exec() {
    every_plan(|plan, _| {
        let last = plan.steps.len() - 1;
        assert_eq!(place(plan, is!(Exec | Serve)), last);
        assert_eq!(place(plan, is!(CloseDescriptors)), last - 1);
    });
}

#[test]
fn a_plan_reports_once_and_waits_for_whom_it_was_told_to() {
    every_plan(|plan, case| {
        let ready = place(plan, is!(Ready));
        assert_eq!(places(plan, is!(AwaitStart)).len(), usize::from(case.request.wait == Wait::Start));
        // What comes after is `start`'s to tell: nothing there may fail for a reason that `create` could have known.
        let after = places(plan, |step| {
            !matches!(
                step,
                Step::AwaitStart { .. }
                    | Step::Seccomp { when: Load::WithTheProgram, .. }
                    | Step::RunHook { kind: HookKind::StartContainer, .. }
                    | Step::CloseDescriptors { .. }
                    | Step::Exec { .. }
                    | Step::Serve { .. }
            )
        });
        assert_eq!(after.last(), Some(&ready));
    });
}

#[test]
fn the_root_is_opened_before_anything_is_mounted_in_it() {
    every_plan(|plan, _| {
        place(plan, is!(OpenRoot));
        let uses = is!(Mount | Bind | Reattribute | Remount | Symlink | MakeDevice | BindDevice | ReopenNull);
        assert_before(plan, is!(OpenRoot), uses);
        assert_before(plan, is!(Propagation), is!(OpenRoot | HideMount));
    });
}

#[test]
fn paths_of_the_host_are_named_before_the_root_is_entered() {
    every_plan(|plan, _| {
        place(plan, is!(EnterRoot));
        assert_before(
            plan,
            is!(JoinNamespace | Propagation | OpenRoot | Bind | BindDevice | HideMount),
            is!(EnterRoot),
        );
    });
}

#[test]
fn namespaces_are_entered_before_the_root_is_touched() {
    every_plan(|plan, _| {
        assert_before(plan, is!(JoinCgroup), is!(Unshare));
        assert_before(plan, is!(JoinCgroup | Unshare | JoinNamespace), is!(Propagation | OpenRoot));
        let joins = |wanted| move |step: &Step<'_>| matches!(step, Step::JoinNamespace { kind, .. } if (*kind == rt_wire::Namespace::Mount) == wanted);
        assert_before(plan, joins(false), joins(true));
        if plan.spawn.pid.is_some() {
            assert_before(plan, is!(Undumpable), is!(JoinNamespace | OpenRoot));
            place(plan, is!(Undumpable));
        }
    });
}

#[test]
fn paths_are_masked_and_parameters_set_inside_the_root() {
    every_plan(|plan, _| {
        assert_before(plan, is!(EnterRoot), is!(MaskPath | ReadOnlyPath | ReadOnlyRoot | RootPropagation | Sysctl))
    });
}

#[test]
fn nothing_is_made_in_a_root_that_is_read_only() {
    every_plan(|plan, _| {
        let makes = is!(OpenRoot
            | Mount
            | Bind
            | Remount
            | Symlink
            | MakeDevice
            | BindDevice
            | ReopenNull
            | MakeDirectory
            | MaskPath
            | ReadOnlyPath);
        assert_before(plan, makes, is!(ReadOnlyRoot));
        assert_before(plan, makes, is!(RootPropagation));
    });
}

#[test]
fn parameters_are_set_before_procfs_is_masked() {
    every_plan(|plan, _| assert_before(plan, is!(Sysctl), is!(MaskPath | ReadOnlyPath | ReadOnlyRoot)));
}

#[test]
fn the_working_directory_is_entered_when_nothing_is_covered_any_more() {
    every_plan(|plan, _| {
        place(plan, is!(EnterDirectory));
        assert_before(
            plan,
            is!(MaskPath | ReadOnlyPath | ReadOnlyRoot | EnterRoot | MakeDirectory),
            is!(EnterDirectory),
        );
        assert_before(plan, is!(EnterDirectory | User), is!(VerifyDirectory));
    });
}

#[test]
fn rights_are_given_up_in_the_order_in_which_they_are_needed() {
    every_plan(|plan, _| {
        place(plan, is!(BoundingSet));
        place(plan, is!(Groups));
        place(plan, is!(CapabilitySets));
        assert_before(plan, is!(BoundingSet | Groups), is!(User));
        assert_before(plan, is!(User | BoundingSet | Groups), is!(CapabilitySets));
        // Every one of these needs a right, or a file that only root may write.
        let privileged = is!(JoinCgroup
            | JoinNamespace
            | Unshare
            | Propagation
            | OpenRoot
            | Mount
            | Bind
            | Reattribute
            | Remount
            | MakeDevice
            | BindDevice
            | HideMount
            | EnterRoot
            | RootPropagation
            | OpenProc
            | Sysctl
            | ReadOnlyPath
            | MaskPath
            | ReadOnlyRoot
            | Hostname
            | Domainname
            | LoopbackUp
            | Terminal
            | Console
            | Limit
            | Schedule
            | IoPriority
            | OwnStdio);
        assert_before(plan, privileged, is!(BoundingSet | Groups | User | CapabilitySets));
        assert_before(plan, is!(User | CapabilitySets), is!(FindProgram | Ready));
    });
}

#[test]
fn the_mask_of_the_process_is_set_when_nothing_is_made_any_more() {
    every_plan(|plan, _| {
        place(plan, is!(Umask));
        assert_before(plan, is!(Mount | Symlink | MakeDevice | BindDevice | MakeDirectory), is!(Umask));
    });
}

#[test]
fn every_inherited_descriptor_is_used_and_no_other() {
    every_plan(|plan, _| {
        let places = plan.steps.iter().flat_map(|step| match step {
            Step::JoinNamespace { namespace, .. } => vec![namespace],
            Step::JoinCgroup { tasks, .. } => vec![tasks],
            Step::Terminal { socket, .. } => vec![socket],
            Step::RunHook { state, output, errors, .. } => vec![state, output, errors],
            _ => Vec::new(),
        });
        let used: BTreeSet<usize> = places.filter(|place| *place != NONE).map(usize::from).collect();
        assert_eq!(used, (0..plan.spawn.inherited.len()).collect());
    });
}

#[test]
fn hooks_run_where_their_program_is_looked_up() {
    every_plan(|plan, _| {
        let of = |kind| move |step: &Step<'_>| matches!(step, Step::RunHook { kind: found, .. } if *found == kind);
        let (create, start) = (of(HookKind::CreateContainer), of(HookKind::StartContainer));
        assert_before(plan, is!(Mount | Bind | MakeDevice | Symlink), is!(AwaitHooks));
        assert_before(plan, is!(AwaitHooks), create);
        assert_before(plan, create, is!(EnterRoot));
        // As the user, and when nobody waits any more: right before the program.
        assert_before(plan, is!(Ready | AwaitStart | CapabilitySets | Umask), start);
        assert_before(plan, start, is!(CloseDescriptors));
    });
}

#[test]
fn a_filter_is_loaded_once_and_in_its_place() {
    let kinds = std::cell::Cell::new([0; 3]);
    every_plan(|plan, case| {
        let spec = Spec::parse(case.config.as_bytes()).expect("as before");
        let process = spec.process.as_ref().expect("as before");
        let Some(filter) = &plan.filter else {
            assert_eq!(places(plan, is!(Seccomp)), [] as [usize; 0]);
            return;
        };
        let [mut privileged, mut notifying, mut last] = kinds.get();
        let at = place(plan, is!(Seccomp));
        let now = plan.steps.iter().any(|step| matches!(step, Step::Seccomp { when: Load::Now, .. }));
        match (process.no_new_privileges, &filter.terms.agent) {
            (false, _) => {
                // It takes CAP_SYS_ADMIN, which goes with the user.
                assert!(now);
                assert_before(plan, is!(Seccomp), is!(User | CapabilitySets | Ready));
                assert_before(plan, is!(EnterRoot | Groups | BoundingSet), is!(Seccomp));
                privileged += 1;
            }
            (true, Some(_)) => {
                // Its listener is the parent's to pass on, who has no more to do with it after `Ready`.
                assert!(now);
                assert_eq!(at + 1, place(plan, is!(Ready)));
                notifying += 1;
            }
            (true, None) => {
                assert!(!now);
                let behind = plan.steps.iter().skip(at + 1);
                assert!(behind.into_iter().all(|step| is!(RunHook | CloseDescriptors | Exec | Serve)(&step)));
                assert_before(plan, is!(NoNewPrivileges | AwaitStart), is!(Seccomp));
                last += 1;
            }
        }
        kinds.set([privileged, notifying, last]);
    });
    assert!(kinds.get().iter().all(|count| *count > 20), "{kinds:?}");
}

#[test]
fn what_the_image_brings_runs_behind_the_filter() {
    every_plan(|plan, _| {
        let hook = |step: &Step<'_>| matches!(step, Step::RunHook { kind: HookKind::StartContainer, .. });
        assert_before(plan, is!(Seccomp), hook);
        assert_before(plan, is!(Seccomp), is!(Exec | Serve));
    });
}

#[test]
fn a_terminal_is_made_in_a_session_of_its_own_and_inside_the_root() {
    every_plan(|plan, _| {
        assert_before(plan, is!(NewSession | EnterRoot), is!(Terminal));
        assert_before(plan, is!(Terminal), is!(Console));
        assert_before(plan, is!(Console), is!(ReadOnlyRoot | RootPropagation | OwnStdio));
        assert_eq!(places(plan, is!(Terminal)).len(), places(plan, is!(Console)).len());
    });
}

/// One process, made in two ways: what `exec` ends with is what `create` ends with, but for the waiting.
#[test]
fn exec_becomes_a_process_as_create_does() {
    every_plan(|created, case| {
        let spec = Spec::parse(case.config.as_bytes()).expect("as before");
        let process = spec.process.as_ref().expect("as before");
        let request = Request { notify: None, listen: 0, ..case.request.clone() };
        let plan = exec(
            &Kept::of(&spec, &case.request, created.filter.as_ref()),
            process,
            created.filter.clone(),
            &case.host,
            &request,
        )
        .expect("it was possible before");
        let becoming = |steps: &Steps| -> Vec<String> {
            let own =
                is!(ExecLabel | ResetAffinity | Affinity | Ready | FindProgram | AwaitStart | RunHook | Exec | Serve);
            let from = steps.iter().position(|step| matches!(step, Step::EnterDirectory { .. })).expect("one");
            steps.iter().skip(from).filter(|step| !own(step)).map(|step| step.to_string()).collect()
        };
        assert_eq!(becoming(&plan.steps), becoming(&created.steps));
        let joins = plan.steps.iter().position(|step| matches!(step, Step::JoinContainer { .. })).expect("one");
        let hidden = plan.steps.iter().position(|step| matches!(step, Step::Undumpable {})).expect("one");
        assert!(hidden < joins, "others could look into it");
        assert_before(&plan, is!(JoinCgroup), is!(JoinContainer));
        assert_before(&plan, is!(JoinContainer), is!(Terminal | OpenProc | BoundingSet));
    });
}

#[test]
fn nothing_is_looked_up_from_what_is_not_held_yet() {
    every_plan(|plan, _| {
        let mut held: Vec<u8> = Vec::new();
        for step in plan.steps.iter() {
            for target in targets(&step) {
                assert!(target.held == 0 || held.contains(&target.held), "{step}: {} is not held", target.held);
                let path = target.path.bytes();
                assert!(usize::from(target.skip) < path.len(), "{step}: nothing is left of its path");
                assert_eq!(target.held == 0, target.skip == 0, "{step}");
            }
            match step {
                Step::Mount { hold, .. } | Step::OpenProc { hold } if hold != 0 => held.push(hold),
                Step::Sysctl { proc, .. } | Step::ExecLabel { proc, .. } => {
                    assert!(held.contains(&proc), "{step}: {proc} is not held");
                }
                _ => {}
            }
        }
        let mut once = held.clone();
        once.dedup();
        assert_eq!(once, held, "a number means one thing");
    });
}

fn targets<'a>(step: &Step<'a>) -> Vec<Target<'a>> {
    match *step {
        Step::Mount { target, .. }
        | Step::Bind { target, .. }
        | Step::Reattribute { target, .. }
        | Step::Remount { target, .. }
        | Step::Symlink { target, .. }
        | Step::MakeDevice { target, .. }
        | Step::BindDevice { target, .. }
        | Step::ReopenNull { target, .. }
        | Step::ReadOnlyPath { target, .. } => vec![target],
        Step::MaskPath { target, null, .. } => vec![target, null],
        Step::Terminal { ptmx, .. } => vec![ptmx],
        Step::Console { target } => vec![target],
        _ => Vec::new(),
    }
}

#[test]
fn a_plan_reads_as_it_was_written() {
    every_plan(|plan, _| {
        let mut again = Steps::new();
        plan.steps.iter().for_each(|step| again.push(step));
        assert_eq!(plan.steps.iter().count(), plan.steps.len());
        assert_eq!(again, plan.steps);
    });
}

#[test]
fn run_does_what_create_and_start_do() {
    every_plan(|created, case| {
        let run = plan(case, &Request { wait: Wait::Nobody, ..case.request.clone() }).expect("as before");
        let created = if case.request.wait == Wait::Start {
            created.clone()
        } else {
            plan(case, &Request { wait: Wait::Start, ..case.request.clone() }).expect("as before")
        };
        // One that waits is looked at by what `exec` starts meanwhile.
        let waits = is!(FindProgram | AwaitStart | Undumpable);
        let without = |plan: &Plan| {
            plan.steps.iter().filter(|step| !waits(step)).map(|step| step.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(without(&created), without(&run));
        assert_eq!(created.spawn, run.spawn);
    });
}

#[test]
fn without_a_mount_namespace_the_host_is_left_as_it_is() {
    every_plan(|plan, _| {
        if plan.mounts_stay {
            assert_eq!(places(plan, is!(Propagation | HideMount | RootPropagation)), [] as [usize; 0]);
            place(plan, |step| matches!(step, Step::EnterRoot { how: Enter::Chroot }));
        } else {
            place(plan, is!(Propagation));
        }
    });
}

#[test]
fn a_plan_never_depends_on_what_is_in_the_root() {
    let root = std::env::temp_dir().join(format!("rt-plan-{}", std::process::id()));
    fs::create_dir_all(&root).expect("a directory");
    let plans = || -> Vec<Vec<u8>> {
        (0..200)
            .map(|seed| {
                let case = case(seed);
                let mut config: serde_json::Value = serde_json::from_str(&case.config).expect("JSON");
                config["root"]["path"] = root.to_str().into();
                let case = Case { config: config.to_string(), ..case };
                plan(&case, &case.request).map_or_else(Vec::new, |plan| plan.steps.message(3, 4, &[5]))
            })
            .collect()
    };
    let empty = plans();
    for (link, text) in
        [("proc", "/etc"), ("dev", "/dev"), ("sys", "sys"), ("etc", "../../.."), ("home", "/proc/self/fd")]
    {
        std::os::unix::fs::symlink(text, root.join(link)).expect("a link");
    }
    let full = plans();
    fs::remove_dir_all(&root).expect("removed");
    assert!(empty == full, "a plan looked into the root");
}
