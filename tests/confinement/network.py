# Everything about sockets, rings, terminals and keys.
import fcntl


def connects(family, address, kind=socket.SOCK_STREAM, protocol=0):
    def way():
        with socket.socket(family, kind, protocol) as one:
            one.settimeout(5)
            one.connect(address)

    return way


def sends_at_once(send):
    def way():
        with socket.socket(socket.AF_INET) as one:
            send(one)

    return way


def sends_from_a_pair(address):
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b"x", address)


unix, inet = socket.AF_UNIX, socket.AF_INET
attempt("connect to a socket", connects(unix, PLACES["stream"]))
attempt("connect to an abstract socket", connects(unix, "\0" + PLACES["abstract"]))
attempt("connect to a datagram socket", connects(unix, PLACES["datagram"], socket.SOCK_DGRAM))
attempt("send from a pair of datagram sockets", lambda: sends_from_a_pair(PLACES["datagram"]))

other = ("127.0.0.1", PLACES["other_port"])
fast = socket.MSG_FASTOPEN
attempt("connect to another port", connects(inet, other))
attempt("connect to it over IPv6", connects(socket.AF_INET6, ("::ffff:127.0.0.1", other[1])))
attempt("? connect to it by MPTCP", connects(inet, other, protocol=262))
attempt("? connect to it by SMC", connects(inet, other, protocol=256))
attempt("? connect to it by SCTP", connects(inet, other, protocol=132))
attempt("? connect to it by SCTP, not said", connects(inet, other, socket.SOCK_SEQPACKET))
attempt("? connect to it by DCCP", connects(inet, other, 6, 33))
attempt("? connect to it by DCCP over IPv6, not said", connects(socket.AF_INET6, ("::1", other[1]), 6))
attempt("? connect to a virtual machine", connects(40, (1, 1024)))
attempt("? connect within a cluster", connects(30, (1, 1, 1, 1, 2)))
attempt("send to it at once", sends_at_once(lambda one: one.sendto(b"x", fast, other)))
attempt("send a message to it at once", sends_at_once(lambda one: one.sendmsg([b"x"], [], fast, other)))
attempt("listen", sends_at_once(lambda one: one.bind(("127.0.0.1", 0))))

parameters = ctypes.create_string_buffer(256)
attempt("? make a ring", lambda: call(425, 425, 1, ctypes.addressof(parameters)))
attempt("? type into the terminal", lambda: fcntl.ioctl(0, 0x5412, b"x"))
attempt("? read the user's keys", lambda: call(250, 219, 0, -4, 1))
attempt("? add to the user's keys", lambda: call(248, 217, 0, 0, 0, 0, -4))
if not arm:
    numbers = (*REFUSED, "ENOSYS")
    attempt("? make a socket by its other number", lambda: call(0x40000029, 0, 1, 1, 0), numbers)
