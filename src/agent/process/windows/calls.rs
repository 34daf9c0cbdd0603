//! The system calls about processes that no maintained safe crate offers: job
//! objects, the start of a suspended process, the interrupt. Each function is
//! one thing to ask for; what it is for is its caller's business.

#![expect(unsafe_code, reason = "the system's calls take pointers; every one is proved here")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_C_EVENT, GenerateConsoleCtrlEvent, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, IsProcessInJob, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_JOB_MEMORY, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicAccountingInformation, JobObjectExtendedLimitInformation,
    QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    OpenProcess, OpenThread, PROCESS_QUERY_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION,
    ResumeThread, THREAD_SUSPEND_RESUME,
};
use windows_sys::core::BOOL;

/// A job object. Closed, everything in it is killed.
#[derive(Debug)]
pub(super) struct Job(OwnedHandle);

impl Job {
    /// An empty job whose processes together use at most `memory` bytes, and
    /// are at most so many.
    pub fn new(memory: Option<u64>, processes: Option<u64>) -> io::Result<Self> {
        // SAFETY: null means default security and no name.
        let job = Self(unsafe { owned(CreateJobObjectW(ptr::null(), ptr::null()))? });
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        let basic = &mut limits.BasicLimitInformation;
        basic.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        if let Some(processes) = processes {
            basic.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
            basic.ActiveProcessLimit = u32::try_from(processes).unwrap_or(u32::MAX);
        }
        if let Some(memory) = memory {
            basic.LimitFlags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
            limits.JobMemoryLimit = usize::try_from(memory).unwrap_or(usize::MAX);
        }
        // SAFETY: the handle is a job's and open; pointer and size are those of
        // one structure of the kind that is asked for, which outlives the call.
        done(unsafe {
            SetInformationJobObject(
                job.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                ptr::from_ref(&limits).cast::<c_void>(),
                size_of_as_u32::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>(),
            )
        })?;
        Ok(job)
    }

    /// Takes a process in, for good, and whatever it starts from now on.
    pub fn take(&self, process: &impl AsHandle) -> io::Result<()> {
        let process = process.as_handle().as_raw_handle();
        // SAFETY: both handles are open, one a job's, one a process's.
        done(unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process) })
    }

    /// How many processes live in it.
    pub fn living(&self) -> io::Result<usize> {
        let mut counts = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: as in `new`; the structure is written to, and the length that
        // was written is not asked for.
        done(unsafe {
            QueryInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectBasicAccountingInformation,
                ptr::from_mut(&mut counts).cast::<c_void>(),
                size_of_as_u32::<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION>(),
                ptr::null_mut(),
            )
        })?;
        Ok(counts.ActiveProcesses as usize)
    }

    /// Whether the process of that number is in it.
    pub fn holds(&self, process: u32) -> io::Result<bool> {
        // SAFETY: a number, which may be nobody's: then there is no handle.
        let open = |rights| unsafe { owned(OpenProcess(rights, 0, process)) };
        // The lesser right is enough for the question, and is had on processes
        // with more rights than ours; some systems want the greater one.
        let process =
            open(PROCESS_QUERY_INFORMATION).or_else(|_| open(PROCESS_QUERY_LIMITED_INFORMATION))?;
        let mut found: BOOL = 0;
        // SAFETY: both handles are open, and the answer outlives the call.
        done(unsafe {
            IsProcessInJob(process.as_raw_handle(), self.0.as_raw_handle(), &raw mut found)
        })?;
        Ok(found != 0)
    }

    /// Kills everything in it; `code` is what each process exits with.
    pub fn kill(&self, code: u32) {
        // SAFETY: the handle is a job's and open. It fails for none we made.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), code) };
    }
}

/// Lets a process go that was created suspended.
pub(super) fn resume(process: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if list == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made, for us alone.
    let list = unsafe { owned(list)? };
    let size = size_of_as_u32::<THREADENTRY32>();
    let mut entry = THREADENTRY32 { dwSize: size, ..Default::default() };
    // SAFETY: the handle is a snapshot's, and the entry, which says its size,
    // outlives the call.
    done(unsafe { Thread32First(list.as_raw_handle(), &raw mut entry) })?;
    loop {
        // Suspended from its first instruction on, it has one thread.
        if entry.th32OwnerProcessID == process {
            return resume_thread(entry.th32ThreadID);
        }
        // SAFETY: as above; an error is the end of the list.
        done(unsafe { Thread32Next(list.as_raw_handle(), &raw mut entry) })?;
    }
}

fn resume_thread(thread: u32) -> io::Result<()> {
    // SAFETY: a number, which may be nobody's: then there is no handle.
    let thread = unsafe { owned(OpenThread(THREAD_SUSPEND_RESUME, 0, thread))? };
    // SAFETY: the handle is a thread's, open, with the right to do this.
    let before = unsafe { ResumeThread(thread.as_raw_handle()) };
    if before == u32::MAX { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets Ctrl-C have its usual meaning for this process and those it starts: one
/// that was started deaf to it would hand that on.
pub(super) fn hear_interrupts() -> io::Result<()> {
    // SAFETY: no handler is given, so none has to outlive anything.
    done(unsafe { SetConsoleCtrlHandler(None, 0) })
}

/// Goes to the console that a process is at and sends Ctrl-C to everything
/// there. For a process without a console, which does not come back from it.
pub(super) fn interrupt_console_of(process: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { AttachConsole(process) })?;
    // SAFETY: no handler is given. Who rings is not to hear it.
    done(unsafe { SetConsoleCtrlHandler(None, 1) })?;
    // SAFETY: takes no pointers; 0 is everybody.
    done(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) })
}

/// # Safety
/// The handle is null, or open and nobody else's.
unsafe fn owned(handle: *mut c_void) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn done(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The size of one of the structures above, a hundred bytes or so.
const fn size_of_as_u32<T>() -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    return size_of::<T>() as u32;
}

#[cfg(test)]
mod tests {
    use std::os::windows::process::CommandExt;
    use std::process::{Command, Stdio};

    use windows_sys::Win32::System::Threading::CREATE_SUSPENDED;

    use super::*;

    #[test]
    fn what_a_job_takes_in_is_counted_let_go_and_killed() {
        let job = Job::new(Some(1 << 30), Some(8)).unwrap();
        assert_eq!(job.living().unwrap(), 0);
        let mut command = Command::new("cmd");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).creation_flags(CREATE_SUSPENDED);
        let mut process = command.spawn().unwrap();
        assert!(!job.holds(process.id()).unwrap());
        job.take(&process).unwrap();
        assert_eq!(job.living().unwrap(), 1);
        assert!(job.holds(process.id()).unwrap());
        assert!(!job.holds(std::process::id()).unwrap());
        resume(process.id()).unwrap();
        assert!(process.try_wait().unwrap().is_none(), "it waits for its input");
        job.kill(137);
        assert_eq!(process.wait().unwrap().code(), Some(137));
        assert_eq!(job.living().unwrap(), 0);
    }

    #[test]
    fn a_process_that_is_not_there_is_told() {
        assert!(resume(u32::MAX).is_err());
        assert!(Job::new(None, None).unwrap().holds(u32::MAX).is_err());
    }

    #[test]
    fn a_closed_job_kills() {
        let job = Job::new(None, None).unwrap();
        let mut process = Command::new("cmd").stdin(Stdio::piped()).spawn().unwrap();
        job.take(&process).unwrap();
        drop(job);
        process.wait().unwrap();
    }
}
