//! What works in a cell: everything a program needs that is not a way out.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use amurg_runtime::agent::process::plan::Stdio;

use crate::children::Scene;
use crate::room::{Room, installed, users};

/// Everything a script says in the cell of each user, with nothing in it that is odd.
fn says(script: &str, expected: &str) {
    says_in(|_| (), script, expected);
}

fn says_in(prepare: impl Fn(&mut Room), script: &str, expected: &str) {
    for &user in users() {
        let mut room = Room::of(user);
        prepare(&mut room);
        let (said, code) = room.run(&["bash", "-c", script]);
        assert_eq!((said.as_str(), code), (expected, 0), "{user:?}: {script}");
    }
}

#[test]
fn its_own_directory() {
    says(
        "echo 1 >a && cat a && mkdir -p d/e && mv a d/e/b && ln d/e/b c && cat c && rm -r d",
        "1\n1\n",
    );
    says("printf '#!/bin/sh\\necho run\\n' >run && chmod +x run && ./run", "run\n");
    says("echo long >a && truncate -s 2 a && cat a && ln -s a l && cat l && mkfifo p", "lolo");
    says("cp /bin/true mine && ./mine && pwd | sed 's,.*/,,'", "own\n");
}

#[test]
fn its_uploads_and_temporary_files() {
    says(
        "cat ../uploads/upload && echo more >../uploads/more && cat ../uploads/more",
        "content\nmore\n",
    );
    says(
        "file=$(mktemp) && echo x >$file && cat $file && case $file in */uploads/.tmp/*) echo own;; esac",
        "x\nown\n",
    );
    says("mktemp -d >/dev/null && sort -S 1b --parallel=1 <(seq 3 -1 1) | tr -d '\\n'", "123");
    says("cat <<end\nhere\nend", "here\n");
}

#[test]
fn devices_pipes_and_descriptors() {
    says(
        "echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 9 /dev/urandom | wc -c",
        "3\n9\n",
    );
    says("cat <(echo a) <(echo b) && echo c | cat /dev/fd/0", "a\nb\nc\n");
    says("{ echo d >/dev/stdout; exec 5>&1; echo e >/proc/self/fd/5; } | cat", "d\ne\n");
}

#[test]
fn its_own_processes() {
    says("sleep 1000 & kill $! && wait $!; echo $?", "143\n");
    says("(setsid sleep 1000 & echo $! >pid); kill $(cat pid) && echo ended", "ended\n");
    says("ulimit -n 50 && ulimit -n && nice -n 5 echo nice", "50\nnice\n");
    says(
        "grep -c . /proc/self/environ >/dev/null && tr -d '\\0' </proc/self/cmdline | head -c 2",
        "tr",
    );
}

#[test]
fn names_times_and_certificates() {
    says(
        "getent hosts localhost >/dev/null && getent passwd root | cut -d: -f1 && cat /etc/hosts >/dev/null",
        "root\n",
    );
    says("date -d @0 +%Z >/dev/null && locale >/dev/null && id -u >/dev/null", "");
    if fs::metadata("/etc/resolv.conf").is_ok() {
        says("cat /etc/resolv.conf >/dev/null", "");
    }
    if fs::metadata("/etc/ssl/certs/ca-certificates.crt").is_ok() {
        says(
            "grep -m1 -o 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt",
            "BEGIN CERTIFICATE\n",
        );
        says("cat /etc/ssl/certs/*.0 2>&1 | head -c 1 | wc -c", "1\n");
    }
}

#[test]
fn interpreters_start_without_a_complaint() {
    for (command, script, said) in [
        ("bash", "bash -ic 'echo 42' 2>/dev/null", "42\n"),
        ("sh", "sh -c 'echo 42'", "42\n"),
        (
            "python3",
            "python3 -c 'import ssl, socket, tempfile, subprocess, json; print(6 * 7)'",
            "42\n",
        ),
        (
            "python3",
            "python3 -c 'import subprocess; print(subprocess.check_output([\"echo\", \"42\"]))'",
            "b'42\\n'\n",
        ),
        (
            "python3",
            "python3 -c 'import socket; print(len(socket.getaddrinfo(\"localhost\", 80)) > 0)'",
            "True\n",
        ),
        (
            "python3",
            "python3 -c 'import socket; a, b = socket.socketpair(); a.send(b\"42\"); print(b.recv(9))'",
            "b'42'\n",
        ),
        (
            "python3",
            "python3 -c 'import threading; t = threading.Thread(target=print, args=(42,)); t.start(); t.join()'",
            "42\n",
        ),
        (
            "python3",
            "python3 -c 'import os; os.fork() or os._exit(42); print(os.waitstatus_to_exitcode(os.wait()[1]))'",
            "42\n",
        ),
        ("bash", "bash -c 'n=$(echo 42 | (read n; echo $n)); echo $n'", "42\n"),
        (
            "node",
            "node -e 'new (require(\"worker_threads\").Worker)(\"console.log(42)\", { eval: true })'",
            "42\n",
        ),
        (
            "sqlite3",
            "sqlite3 base 'create table t(x); insert into t values(42); select x from t'",
            "42\n",
        ),
        (
            "node",
            "node -e 'console.log(require(\"child_process\").execSync(\"echo 42\") + \"\")'",
            "42\n\n",
        ),
        ("perl", "perl -MPOSIX -e 'print 6*7, \"\\n\"'", "42\n"),
        ("git", "git init -q . && git config user.name me && git config user.name", "me\n"),
        ("openssl", "openssl rand -hex 2 | tr -d '\\n' | wc -c", "4\n"),
    ] {
        if installed(command) {
            says(script, said);
        }
    }
}

#[test]
fn certificates_are_found_by_an_interpreter() {
    if installed("python3") && fs::metadata("/etc/ssl/certs/ca-certificates.crt").is_ok() {
        let script = "import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 0)";
        says(&format!("python3 -c '{script}'"), "True\n");
    }
}

#[test]
fn a_terminal_of_its_own() {
    for &user in users() {
        let room = Room::of(user);
        let script = "tty -s && echo is a terminal && echo and again >/dev/tty && stty size";
        let plan = room.plan(&["bash", "-c", script], Stdio::TERMINAL).unwrap();
        let mut scene = Scene::with(&room.launcher, &plan);
        let said = scene.rest();
        assert_eq!(said, "is a terminal\nand again\n24 80\n", "{user:?}");
    }
}

const CONNECT: &str = "import socket, sys; s = socket.socket(); s.connect((\"127.0.0.1\", int(sys.argv[1]))); print(\"in\")";

#[test]
fn connections_to_every_port_or_to_those_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("python3 -c '{CONNECT}' {port}");
    says(&script, "in\n");
    says_in(|room| room.security.allowed_tcp_ports = Some(vec![1, port]), &script, "in\n");
    says(
        "python3 -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); print(\"listens\")'",
        "listens\n",
    );
}

#[test]
fn unix_sockets_where_they_are_allowed() {
    let script = "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"../outside/socket\"); print(\"in\")'";
    let listeners = std::cell::RefCell::new(Vec::new());
    let prepare = |room: &mut Room| {
        room.security.allow_unix_sockets = true;
        listeners.borrow_mut().push(UnixListener::bind(room.at("outside/socket")).unwrap());
        room.give("outside");
    };
    says_in(prepare, script, "in\n");
}

/// A command may lie where nothing else may be read, also behind links of the
/// administrator: it alone is added.
#[test]
fn a_command_from_outside() {
    for &user in users() {
        let room = Room::of(user);
        room.program("outside/agent", "#!/bin/sh\necho runs; cat ../outside/secret 2>/dev/null\n");
        std::os::unix::fs::symlink("outside/agent", room.at("agent")).unwrap();
        room.give("outside");
        for command in ["outside/agent", "agent"] {
            let (endpoint, program) =
                crate::children::endpoint(room.at(command).to_str().unwrap(), &[]);
            let endpoint =
                amurg_runtime::config::Endpoint { security: room.security.clone(), ..endpoint };
            let plan = room.confined(&endpoint, &program, Stdio::Pipes).unwrap();
            let mut scene = Scene::with(&room.launcher, &plan);
            assert_eq!(scene.rest(), "runs\n", "{user:?} {command}");
        }
    }
}
