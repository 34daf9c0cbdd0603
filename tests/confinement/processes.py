# Everything about other processes of the same user.
import fcntl
import resource
import signal



def trace(pid):
    # In a process that ends at once, and lets go with that.
    tracer = os.fork()
    if tracer == 0:
        seized = libc.ptrace(0x4206, pid, None, None)
        os._exit(ctypes.get_errno() if seized else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(tracer, 0)[1])
    if code:
        raise OSError(code, "refused")


for who, pid in PLACES["victims"].items():
    def told(what):
        return f"{what} of {who}"

    proc = f"/proc/{pid}"
    for name in ["environ", "maps", "smaps", "auxv", "io"]:
        attempt(told(f"read {name}"), lambda: open(f"{proc}/{name}", "rb").read(1))
    attempt(told("open mem"), lambda: open(f"{proc}/mem", "rb").close())
    attempt(told("read a thread's environ"), lambda: open(f"{proc}/task/{pid}/environ", "rb").read(1))
    # Numbers only; a process of the same user shows them unless it closes itself.
    if os.geteuid() == 0 or who == "the runtime":
        attempt(told("list fd"), lambda: os.listdir(f"{proc}/fd"))
    attempt(told("list fdinfo"), lambda: os.listdir(f"{proc}/fdinfo"))
    attempt(told("? list map_files"), lambda: os.listdir(f"{proc}/map_files"))
    for name in ["fd/0", "cwd", "root", "exe"]:
        attempt(told(f"follow {name}"), lambda: os.readlink(f"{proc}/{name}"))
    attempt(told("open fd/0"), lambda: os.close(os.open(f"{proc}/fd/0", os.O_RDONLY | os.O_NONBLOCK)))
    attempt(told("list its root"), lambda: os.listdir(f"{proc}/root"))
    attempt(told("write oom_score_adj"), lambda: open(f"{proc}/oom_score_adj", "r+b").close())

    # Ignored where it is not expected, so a way that works does no harm.
    urgent = signal.SIGURG
    attempt(told("kill"), lambda: os.kill(pid, urgent))
    attempt(told("kill the group"), lambda: os.killpg(os.getpgid(pid), urgent))
    attempt(told("tgkill"), lambda: call(234, 131, pid, pid, urgent))
    attempt(told("sigqueue"), lambda: checked(libc.sigqueue(pid, urgent, None)))
    if hasattr(signal, "pidfd_send_signal"):
        attempt(told("pidfd"), lambda: signal.pidfd_send_signal(os.pidfd_open(pid), urgent))
    attempt(told("read a limit"), lambda: resource.prlimit(pid, resource.RLIMIT_CPU))
    attempt(told("set a limit"), lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)))
    buffer = ctypes.create_string_buffer(16)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    both = ctypes.addressof(vector), 1, ctypes.addressof(vector), 1
    attempt(told("? read memory"), lambda: call(310, 270, pid, *both, 0))
    attempt(told("? take a descriptor"), lambda: call(438, 438, os.pidfd_open(pid), 0, 0))
    attempt(told("? compare memory"), lambda: call(312, 272, os.getpid(), pid, 1, 0, 0))
    attempt(told("? trace"), lambda: trace(pid))

# SIGIO by way of a pipe's owner ends whom it reaches. No error tells; the test looks.
for who, pid in PLACES["victims"].items():
    if who != "the runtime":
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(writer, b"x")
