# Answers every Landlock call with "not supported", for good.
import ctypes, os, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
# Load the call's number; 444 to 446 are Landlock's, everywhere; EOPNOTSUPP; allow.
code = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (0x06, 0, 0, 0x0005005F), (0x06, 0, 0, 0x7FFF0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in code))
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit("no filter")
