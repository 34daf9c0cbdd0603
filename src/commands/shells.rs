//! How a shell is offered: interactive, since it would otherwise end at the
//! first mistake or at Ctrl-C, on a terminal, where it has job control, and
//! without a prompt, so that what comes back is what the commands wrote.

/// Arguments of `bash`: without what a person at a keyboard wants, `!` for history included.
pub const BASH: [&str; 5] = ["--norc", "--noprofile", "--noediting", "+H", "-i"];

/// Arguments of any other shell.
pub const SH: [&str; 1] = ["-i"];

/// Variables of either.
pub const NO_PROMPT: [(&str, &str); 3] = [("PS1", ""), ("PS2", ""), ("TERM", "dumb")];
