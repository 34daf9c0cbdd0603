# Everything about files. The working directory is the agent's own.
import stat
import subprocess

outside, neighbour = PLACES["outside"], PLACES["neighbour"]
secret = f"{outside}/secret"


def reads(path):
    def way():
        with open(path, "rb") as file:
            file.read(1)

    return way


def opens(path, flags, **how):
    return lambda: os.close(os.open(path, flags | os.O_CLOEXEC, 0o600, **how))


def makes(path):
    def way():
        opens(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)()
        os.unlink(path)

    return way


attempt("read /etc/shadow", reads("/etc/shadow"))
attempt("read a key in ~/.ssh", reads(os.path.expanduser("~/.ssh/id")))
attempt("list ~/.ssh", lambda: os.listdir(os.path.expanduser("~/.ssh")))
attempt("read the configuration", reads(PLACES["config"]))
attempt("read a neighbour's file", reads(f"{neighbour}/file"))
attempt("list outside", lambda: os.listdir(outside))
os.symlink(f"{neighbour}/file", "link")
attempt("read over a link", reads("link"))
os.symlink(outside, "directory")
attempt("read behind a linked directory", reads("directory/secret"))
attempt("read behind ..", reads("../outside/secret"))
attempt("read over /proc/self/cwd", reads("/proc/self/cwd/../outside/secret"))
attempt("read over /proc/self/root", reads(f"/proc/self/root{secret}"))
above = os.open("..", os.O_PATH | os.O_DIRECTORY)
attempt("read over a descriptor", opens("outside/secret", os.O_RDONLY, dir_fd=above))

attempt("make a file outside", makes(f"{outside}/new"))
attempt("write to a file outside", opens(secret, os.O_WRONLY | os.O_APPEND))
attempt("truncate at opening", opens(f"{outside}/short", os.O_RDONLY | os.O_TRUNC))
attempt("truncate by name", lambda: os.truncate(f"{outside}/short", 0))
attempt("make a nameless file outside", opens(outside, os.O_RDWR | os.O_TMPFILE))
attempt("make a directory outside", lambda: os.mkdir(f"{outside}/made"))
attempt("remove a directory outside", lambda: os.rmdir(f"{outside}/empty"))
attempt("remove a file outside", lambda: os.unlink(f"{outside}/gone"))
attempt("link outside", lambda: os.symlink("secret", f"{outside}/link"))
attempt("make a pipe outside", lambda: os.mkfifo(f"{outside}/pipe"))
open("mine", "w").close()
MOVED = (*REFUSED, "EXDEV")
attempt("move out", lambda: os.rename("mine", f"{outside}/mine"), MOVED)
attempt("move in", lambda: os.rename(f"{outside}/moved", "moved"), MOVED)
attempt("link in", lambda: os.link(secret, "hard"), MOVED)
open("mine", "w").close()
attempt("link out", lambda: os.link("mine", f"{outside}/hard"), MOVED)
for place in ["/tmp", "/var/tmp", "/dev/shm", "/usr", "/etc", "/"]:
    attempt(f"make a file in {place}", makes(f"{place}/amurg-way-out-{os.getpid()}"))
attempt("execute a program outside", lambda: subprocess.run([f"{outside}/tool"], check=True))

attempt("? make a block device", lambda: os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(7, 0)))
attempt("? make a character device", lambda: os.mknod("kmsg", stat.S_IFCHR | 0o600, os.makedev(1, 11)))
for device in ["/dev/ptmx", "/dev/mem", "/dev/kmsg", PLACES["terminal"], PLACES["disk"]]:
    if os.path.exists(device):
        attempt(f"? open {device}", opens(device, os.O_RDWR | os.O_NOCTTY))
for path in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"]:
    if os.path.exists(path):
        attempt(f"? write to {path}", opens(path, os.O_WRONLY))

here = os.getcwd().encode()


def mount():
    checked(libc.mount(b"none", here, b"tmpfs", 0, None))
    # Where it is possible, as outside of the cage, it must not stay.
    checked(libc.umount2(here, 2))  # MNT_DETACH


attempt("? mount", mount)
attempt("? change the root", lambda: os.chroot("."))
attempt("? become another user", lambda: os.setresuid(4242, 4242, 4242))


def namespaces():
    checked(libc.unshare(0x10000000 | 0x00020000))  # CLONE_NEWUSER | CLONE_NEWNS
    checked(libc.mount(b"/", here, None, 0x1000, None))  # MS_BIND


attempt("? mount in a namespace", namespaces)
