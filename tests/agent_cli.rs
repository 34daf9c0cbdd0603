//! `generic-cli` with real programs: turns end by mechanics, output is verbatim,
//! and nothing outlives its session.

mod agent_scene;

use std::time::{Duration, Instant};

use agent_scene::{Scene, Seen, cli, processes_with};
use amurg_runtime::agent::AgentEvent;
use amurg_runtime::agent::cli::shared::SharedProcesses;
use amurg_runtime::config::{Cli, SpawnPolicy, TurnEnd};

/// A turn that ends by itself and not by `idle_timeout`, which no test here arms.
const PROMPT: Duration = Duration::from_millis(100);

/// The best of some turns: what the machine was busy with otherwise does not count.
fn prompt_turn(scene: &mut Scene, message: &str, expect: &str) {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let turn = scene.turn(message);
        assert!(turn.stdout.contains(expect), "{turn:?}");
        assert_eq!(turn.exit_code, None, "{turn:?}");
        best = best.min(turn.took);
    }
    assert!(best < PROMPT, "{best:?}");
}

fn tty(command: &[&str]) -> Cli {
    Cli { tty: true, ..cli(command) }
}

fn installed(command: &str) -> bool {
    std::process::Command::new("sh")
        .args(["-c", &format!("command -v {command}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn turns_end_at_once_when_the_program_waits_for_input_again() {
    prompt_turn(&mut Scene::cli(&cli(&["cat"])), "hello", "hello\n");
    prompt_turn(&mut Scene::cli(&cli(&["bash", "--norc", "-i"])), "echo $((6*7))", "42\n");
    prompt_turn(&mut Scene::cli(&cli(&["bash"])), "echo $((6*7))", "42\n");
    prompt_turn(&mut Scene::cli(&cli(&["sh"])), "echo $((6*7))", "42\n");
}

#[test]
fn so_do_turns_of_interpreters() {
    if installed("python3") {
        prompt_turn(&mut Scene::cli(&cli(&["python3", "-i"])), "print(6*7)", "42\n");
    }
    if installed("perl") {
        let perl = cli(&["perl", "-ne", "$|=1; print 6*7, \"\\n\""]);
        prompt_turn(&mut Scene::cli(&perl), "x", "42\n");
    }
    if installed("sqlite3") {
        prompt_turn(&mut Scene::cli(&cli(&["sqlite3"])), "select 6*7;", "42\n");
    }
}

#[test]
fn so_do_turns_on_a_terminal() {
    prompt_turn(&mut Scene::cli(&tty(&["cat"])), "hello", "hello\n");
    prompt_turn(&mut Scene::cli(&tty(&["bash", "--norc", "-i"])), "echo $((6*7))", "42");
    if installed("sqlite3") {
        prompt_turn(&mut Scene::cli(&tty(&["sqlite3"])), "select 6*7;", "42");
    }
}

/// A turn that nothing ends for a while, until its `idle_timeout` does.
fn must_not_end(command: &Cli, message: &str) {
    let mut scene = Scene::cli(command);
    let start = Instant::now();
    let turn = scene.send(message);
    let until = start + Duration::from_millis(700);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if let Some(Seen::Event(event)) = scene.next_within(left) {
            panic!("{message:?} ended early: {event:?}");
        }
    }
    scene.agent.idle_expired(turn);
    assert_eq!(scene.rest_of_turn(turn, start).exit_code, None);
}

#[test]
fn a_running_command_is_not_taken_for_one_that_waits() {
    let shell = || cli(&["bash", "--norc", "-i"]);
    must_not_end(&shell(), "sleep 30 &");
    must_not_end(&shell(), "sleep 30 | cat");
    must_not_end(&shell(), "cat | sort");
    must_not_end(&shell(), "read -t 30 x");
    must_not_end(&shell(), "timeout 30 cat");
    must_not_end(&shell(), "cat <(sleep 30)");
    must_not_end(&shell(), "sleep 30 < /dev/null");
}

#[test]
fn nor_is_a_daemon_of_the_session() {
    must_not_end(&cli(&["bash", "--norc", "-i"]), "(setsid sleep 31.5 &)");
}

#[test]
fn nor_is_a_program_that_reads_something_else() {
    let fifo = "mkfifo /tmp/amurg-$$; exec 3<>/tmp/amurg-$$; rm /tmp/amurg-$$; read x <&3";
    must_not_end(&cli(&["bash", "--norc", "-i"]), fifo);
    let closed = "exec </dev/null; sleep 30";
    must_not_end(&cli(&["bash", "-c", "read x; eval \"$x\""]), closed);
}

#[test]
fn nor_is_a_program_with_a_second_thread() {
    if installed("python3") {
        let thread = "import threading, time; threading.Thread(target=time.sleep, args=(30,), daemon=True).start()";
        must_not_end(&cli(&["python3", "-i"]), thread);
    }
}

#[test]
fn turn_end_idle_switches_it_off() {
    must_not_end(&Cli { turn_end: TurnEnd::Idle, ..cli(&["cat"]) }, "hello");
}

#[test]
fn a_duplicate_of_standard_input_is_standard_input() {
    let shell = "exec 5<&0 </dev/null; while read -u 5 x; do echo \"got $x\"; done";
    prompt_turn(&mut Scene::cli(&cli(&["bash", "-c", shell])), "it", "got it\n");
}

#[test]
fn a_child_that_waits_below_waiting_parents_waits() {
    let mut scene = Scene::cli(&cli(&["bash", "--norc", "-i"]));
    scene.turn("(cat)");
    prompt_turn(&mut scene, "hello", "hello\n");
}

#[test]
fn a_silent_command_ends_its_turn_when_it_ends() {
    let mut scene = Scene::cli(&cli(&["bash", "--norc", "-i"]));
    let turn = scene.turn("sleep 0.3");
    assert!(turn.took >= Duration::from_millis(300), "{turn:?}");
}

#[test]
fn an_exit_ends_the_turn_with_its_code_and_the_next_message_starts_the_agent_again() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene.turn("echo bye; exit 3");
    assert_eq!((turn.stdout.as_str(), turn.exit_code), ("bye\n", Some(3)));
    let turn = scene.turn("echo again");
    assert_eq!(turn.system, "The agent had ended (exit code 3); it was started again.");
    assert_eq!((turn.stdout.as_str(), turn.exit_code), ("again\n", None));
    let turn = scene.turn("kill -9 $$");
    assert_eq!(turn.exit_code, Some(137));
}

#[test]
fn a_message_while_a_turn_is_open_ends_that_and_opens_its_own() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let start = Instant::now();
    let first = scene.send("echo one; sleep 0.4; echo two");
    scene.until_output("one\n");
    let second = scene.send("echo three");
    let ended = scene.rest_of_turn(first, start);
    assert_eq!((ended.stdout.as_str(), ended.exit_code), ("", None), "{ended:?}");
    let turn = scene.rest_of_turn(second, start);
    assert_eq!(turn.stdout, "two\nthree\n");
}

#[test]
fn input_goes_into_the_running_turn() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene.turn("read x; echo \"<$x>\"");
    assert_eq!(turn.stdout, "", "it waits for input");
    let start = Instant::now();
    let number = scene.send("cat | tr a-z A-Z");
    scene.agent.input("loud".into(), amurg_runtime::session::admission::Permit::default());
    // The earlier `read` takes the message, bash the input.
    let turn = scene.rest_of_turn(number, start);
    assert!(turn.stdout.starts_with("<cat | tr a-z A-Z>\n"), "{turn:?}");
}

#[test]
fn a_stop_interrupts_the_command_and_the_shell_lives_on() {
    for endpoint in [cli(&["bash", "--norc", "-i"]), tty(&["bash", "--norc", "-i"])] {
        let mut scene = Scene::cli(&endpoint);
        scene.turn("x=kept");
        let start = Instant::now();
        // A terminal's shell shows the command as well: wait for what only it can
        // say. And a shell forgets an interrupt between its fork and the child's
        // exec, so the child itself says it.
        let turn = scene.send("bash -c 'echo $((6*7)); exec sleep 30'; echo do''ne");
        scene.until_output("42");
        scene.agent.stop();
        let turn = scene.rest_of_turn(turn, start);
        assert!(turn.took < Duration::from_secs(2), "{turn:?}");
        assert!(!turn.stdout.contains("done"), "{turn:?}");
        assert!(scene.turn("echo $x").stdout.contains("kept"));
    }
}

#[test]
fn a_program_that_ignores_the_interrupt_is_ended_by_force() {
    let mut scene =
        Scene::cli(&cli(&["bash", "-c", "trap '' INT; echo up; while :; do sleep 1; done"]));
    let start = Instant::now();
    let turn = scene.send("x");
    scene.until_output("up\n");
    scene.agent.stop();
    assert!(scene.next_within(Duration::from_millis(200)).is_none(), "it ignores that");
    assert!(scene.agent.force_stop());
    let turn = scene.rest_of_turn(turn, start);
    assert_eq!(turn.exit_code, Some(143), "{turn:?}");
}

#[test]
fn output_outside_a_turn_is_forwarded() {
    let mut scene = Scene::cli(&cli(&[
        "bash",
        "-c",
        "echo banner; while read x; do (sleep 0.1; echo late) & done",
    ]));
    scene.until_output("banner\n");
    let turn = scene.send("x");
    scene.agent.idle_expired(turn);
    scene.rest_of_turn(turn, Instant::now());
    scene.until_output("late\n");
}

#[test]
fn output_is_verbatim() {
    let cases: [(&str, &str); 6] = [
        ("printf 'no newline> '", "no newline> "),
        ("printf 'a\\r\\n\\r\\n\\n b'", "a\r\n\r\n\n b"),
        ("printf '\\303'; sleep 0.1; printf '\\244'", "ä"),
        ("printf 'x\\377\\303'", "x\u{fffd}\u{fffd}"),
        ("printf 'a\\0b'", "a\0b"),
        ("printf '\\033[31mred'", "\u{1b}[31mred"),
    ];
    let mut scene = Scene::cli(&cli(&["bash"]));
    for (command, expected) in cases {
        assert_eq!(scene.turn(command).stdout, expected, "{command}");
    }
}

#[test]
fn a_flood_arrives_whole_and_never_exceeds_what_may_wait() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let start = Instant::now();
    let number = scene.send("head -c 20000000 /dev/zero | tr '\\0' x");
    let before = scene.stall();
    let waiting = scene.output.buffered();
    assert!((1 << 20..(1 << 20) + 256 * 1024).contains(&waiting), "{waiting}");
    scene.go_on();
    let turn = scene.rest_of_turn(number, start);
    assert_eq!(before.len() + turn.stdout.len(), 20_000_000);
    assert!(turn.stdout.bytes().all(|byte| byte == b'x'));
}

#[test]
fn a_long_message_reaches_an_agent_that_reads_slowly() {
    let counter = "sleep 0.3; head -c 3000001 | wc -c; exec cat";
    let mut scene = Scene::cli(&cli(&["bash", "-c", counter]));
    let turn = scene.turn(&"x".repeat(3_000_000));
    assert_eq!(turn.stdout, "3000001\n");
}

#[test]
fn an_agent_that_does_not_read_can_be_closed() {
    let mut scene = Scene::cli(&cli(&["sleep", "30.125"]));
    scene.send(&"x".repeat(3_000_000));
    let start = Instant::now();
    scene.close();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(processes_with("sleep 30.125").is_empty());
}

#[test]
fn nothing_of_a_session_outlives_it() {
    let shells = [cli(&["bash", "--norc", "-i"]), tty(&["bash", "--norc", "-i"])];
    for endpoint in shells {
        let mut scene = Scene::cli(&endpoint);
        let number = scene.send(
            "sleep 31.25 & (setsid sleep 31.25 &) ; nohup sleep 31.25 >/dev/null 2>&1 & (trap '' TERM; sleep 31.25) &\necho started",
        );
        scene.until_output("started");
        scene.agent.idle_expired(number);
        let start = Instant::now();
        scene.close();
        assert!(start.elapsed() < Duration::from_secs(8));
        assert_eq!(processes_with("sleep 31.25"), [0u32; 0]);
    }
}

#[test]
fn a_grandchild_that_holds_the_output_gets_one_second() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene.turn("sleep 31.75 & exit 4");
    assert_eq!(turn.exit_code, Some(4));
    assert!(turn.took >= Duration::from_secs(1), "{turn:?}");
    assert!(processes_with("sleep 31.75").is_empty());
}

#[test]
fn a_daemon_outlives_its_shell_but_not_the_session() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let until_it_runs = "until grep -qs ^sleep /proc/$!/cmdline; do :; done";
    let daemon = "setsid sleep 32.25 </dev/null >/dev/null 2>&1 &";
    let turn = scene.turn(&format!("{daemon} {until_it_runs}; exit 0"));
    assert_eq!(turn.exit_code, Some(0));
    assert_eq!(processes_with("sleep 32.25").len(), 1);
    scene.close();
    assert!(processes_with("sleep 32.25").is_empty());
}

#[test]
fn the_agent_knows_whose_it_is() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene
        .turn("echo $AMURG_USER_ID $AMURG_ENDPOINT_ID $TERM ${AMURG_SESSION_ID:+session}; pwd");
    assert!(turn.stdout.starts_with("ann test "), "{turn:?}");
    assert!(turn.stdout.ends_with("session\n/tmp\n"), "{turn:?}");
}

#[test]
fn messages_that_come_while_the_process_is_on_its_way_out_are_for_the_next_one() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let start = Instant::now();
    let first = scene.send("echo ready; sleep 1000");
    scene.until_output("ready\n");
    assert!(scene.agent.force_stop());
    let second = scene.send("echo two");
    let third = scene.send("echo three");
    assert_eq!(scene.rest_of_turn(first, start).exit_code, Some(128 + 15));
    let interrupted = scene.rest_of_turn(second, start);
    let last = scene.rest_of_turn(third, start);
    assert_eq!(interrupted.stdout + &last.stdout, "two\nthree\n");
}

#[test]
fn what_was_not_read_yet_is_not_silence() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene.send("head -c 3000000 /dev/zero | tr '\\0' x; sleep 1000");
    assert!(scene.stall().len() > 500_000);
    scene.agent.idle_expired(turn);
    assert!(scene.stall().is_empty(), "the turn goes on");
    scene.go_on();
    scene.until_output("xxx");
}

#[test]
fn what_runs_on_after_idle_timeout_is_told_until_it_is_over() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    let turn = scene.send("sleep 1000 & echo on; wait");
    scene.until_output("on\n");
    scene.agent.idle_expired(turn);
    let Seen::Event(AgentEvent::TurnEnded(end)) = scene.next() else { panic!("no end") };
    assert!(end.running);
    scene.agent.stop();
    assert!(matches!(scene.next(), Seen::Event(AgentEvent::AtRest)));

    // A program that is alone has nothing that runs on.
    let mut scene = Scene::cli(&cli(&["sleep", "1000"]));
    let turn = scene.send("");
    scene.agent.idle_expired(turn);
    let Seen::Event(AgentEvent::TurnEnded(end)) = scene.next() else { panic!("no end") };
    assert!(!end.running);
}

fn end(shared: &SharedProcesses) {
    shared.0.close();
    assert!(shared.0.ended(Instant::now() + Duration::from_secs(20)));
}

#[test]
fn sessions_share_a_persistent_process() {
    let shared = SharedProcesses::default();
    let endpoint = || Cli { spawn_policy: SpawnPolicy::Persistent, ..cli(&["bash"]) };
    let mut ann = Scene::shared_cli(&endpoint(), &shared);
    let mut bob = Scene::shared_cli(&endpoint(), &shared);
    assert_eq!(ann.turn("x=1; echo $x").stdout, "1\n");
    bob.until_output("1\n");
    assert_eq!(bob.turn("x=$((x+1)); echo $x").stdout, "2\n");
    ann.until_output("2\n");

    // A message of one ends the turn of the other.
    let start = Instant::now();
    let first = ann.send("sleep 0.3");
    let second = bob.send("echo later");
    assert_eq!(ann.rest_of_turn(first, start).exit_code, None);
    assert_eq!(bob.rest_of_turn(second, start).stdout, "later\n");

    // A session that ends leaves the process to the others.
    ann.close();
    assert_eq!(bob.turn("echo $x").stdout, "2\n");
    let turn = bob.turn("exit 5");
    assert_eq!(turn.exit_code, Some(5));
    assert_eq!(bob.turn("echo \"$x\"").stdout, "\n", "a new one");
    end(&shared);
    assert!(matches!(bob.next(), Seen::Event(AgentEvent::Closed)));
}

#[test]
fn a_session_that_is_full_does_not_stall_those_it_shares_a_process_with() {
    let shared = SharedProcesses::default();
    let endpoint = Cli { spawn_policy: SpawnPolicy::Persistent, ..cli(&["bash"]) };
    let mut ann = Scene::shared_cli(&endpoint, &shared);
    let mut bob = Scene::shared_cli(&endpoint, &shared);
    // However late this thread takes what he is told, he is never full.
    bob.output.set_limit(32 << 20);
    let turn = bob.turn("head -c 5000000 /dev/zero | tr '\\0' x");
    assert_eq!(turn.stdout.len(), 5_000_000);
    let mut heard = 0;
    while let Some(Seen::Output(_, text)) = ann.next_within(Duration::from_millis(200)) {
        heard += text.len();
    }
    assert!((1 << 20..2 << 20).contains(&heard), "{heard}");
    bob.turn("echo more");
    let Seen::Output(channel, text) = ann.next() else { panic!("no word of what is missing") };
    assert_eq!(channel, "system");
    assert!(
        text.starts_with(&format!("{} bytes of output were dropped", 5_000_000 - heard)),
        "{text}"
    );
    ann.until_output("more\n");
    end(&shared);
}

#[test]
fn a_session_can_be_closed_while_the_hub_takes_nothing() {
    let mut scene = Scene::cli(&cli(&["bash"]));
    scene.send("yes");
    assert!(scene.stall().len() > 500_000);
    let start = Instant::now();
    let said = scene.close();
    assert!(start.elapsed() < Duration::from_secs(3));
    let told = said.iter().any(|seen| {
        matches!(seen, Seen::Output(channel, text) if channel == "system" && text.contains("bytes of output"))
    });
    assert!(told, "what is missing is said");
}

/// A session whose process is gone, with nothing done yet about the message "two" that
/// came while it ended.
fn gone_with_a_message() -> Scene {
    let mut scene = Scene::unattended_cli(&cli(&["cat"]));
    scene.send("one");
    assert!(matches!(scene.attend(), Seen::Output(_, text) if text == "one\n"));
    assert!(scene.agent.force_stop());
    scene.send("two");
    assert!(matches!(scene.attend(), Seen::Event(AgentEvent::TurnEnded(end)) if end.turn == 1));
    scene
}

#[test]
fn what_came_while_a_process_ended_comes_before_what_comes_then() {
    let mut scene = gone_with_a_message();
    scene.send("three");
    let mut said = String::new();
    while !said.contains("three") {
        if let Seen::Output(channel, text) = scene.attend()
            && channel == "stdout"
        {
            said += &text;
        }
    }
    assert_eq!(said, "two\nthree\n");
}

#[test]
fn what_came_while_a_process_ended_is_not_begun_for_a_session_that_ends() {
    let mut scene = gone_with_a_message();
    scene.agent.close();
    let next = scene.attend();
    assert!(matches!(next, Seen::Event(AgentEvent::Closed)), "{next:?}");
}
