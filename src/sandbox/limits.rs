//! Resource limits of a child, as far as `setrlimit` goes. Called in the launcher.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{SandboxPlan, StepError};

/// Sets what the plan bounds, soft and hard alike, so that the child cannot raise it again.
///
/// # Errors
/// When the system refuses a limit; its name is the step.
pub fn apply(plan: &SandboxPlan) -> Result<(), StepError> {
    let limits = [
        ("max_memory_bytes", Resource::As, plan.max_memory_bytes),
        ("max_processes", Resource::Nproc, plan.max_processes),
        ("max_open_files", Resource::Nofile, plan.max_open_files),
    ];
    for (name, resource, wanted) in limits {
        let Some(wanted) = wanted else { continue };
        // Nobody but root can raise a hard limit: what is stricter already stays.
        let bound = getrlimit(resource).maximum.map_or(wanted, |hard| hard.min(wanted));
        let limit = Rlimit { current: Some(bound), maximum: Some(bound) };
        setrlimit(resource, limit)
            .map_err(|errno| StepError { step: name.to_owned(), source: errno.into() })?;
    }
    Ok(())
}
