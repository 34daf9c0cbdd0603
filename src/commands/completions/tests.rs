//! The scripts hold everything, are taken by their shells, and complete.

use std::io::Write;
use std::process::{Command as Process, Stdio};

use super::*;

const ALL: [(Shell, &str); 4] = [
    (Shell::Bash, "bash"),
    (Shell::Zsh, "zsh"),
    (Shell::Fish, "fish"),
    (Shell::Power, "powershell"),
];

#[test]
fn every_command_and_option_is_in_every_script() {
    let program = flags::program();
    for (shell, name) in ALL {
        let script = script(shell, &program);
        for command in program.all() {
            assert!(script.contains(command.name()), "{name}: {}", command.name());
            for flag in &command.options {
                let long = flag.long.trim_start_matches('-');
                assert!(script.contains(long), "{name}: {}", flag.long);
            }
        }
    }
}

/// Runs a shell with arguments and a script on its standard input; what it
/// printed, or `None` where there is no such shell.
fn run(shell: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut child = Process::new(shell)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{shell}: {complaints}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn their_shells_take_them() {
    let program = flags::program();
    for (shell, name) in &ALL[..3] {
        run(name, &["-n"], &script(*shell, &program));
    }
}

/// What stands outside of strings and comments, with brackets taken away in
/// pairs; panics where one has no partner.
fn skeleton(script: &str) -> String {
    let mut open = Vec::new();
    let mut skeleton = String::new();
    for line in script.lines().filter(|line| !line.starts_with('#')) {
        let mut quote = None;
        for c in line.chars() {
            match (quote, c) {
                // Two quotes in a string end it and begin another: the same here.
                (Some(end), c) if c == end => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '(' | '{' | '[') => open.push(c),
                (None, ')' | '}' | ']') => {
                    let partner = match c {
                        ')' => '(',
                        '}' => '{',
                        _ => '[',
                    };
                    assert_eq!(open.pop(), Some(partner), "{line}");
                }
                (None, c) => skeleton.push(c),
            }
        }
        assert_eq!(quote, None, "a string that does not end: {line}");
        skeleton.push('\n');
    }
    assert!(open.is_empty(), "{open:?}");
    skeleton
}

#[test]
fn the_powershell_script_is_whole_and_its_tables_complete() {
    let program = flags::program();
    let script = script(Shell::Power, &program);
    let skeleton = skeleton(&script);
    // Nothing of a description has got out of its string.
    assert!(!skeleton.contains("hub") && !skeleton.contains('`'), "{skeleton}");
    for command in program.all() {
        let typed = command.words.join(" ");
        let case = format!("\n        '{typed}' {{ @(\n");
        assert_eq!(script.matches(&case).count(), 1, "{typed}");
        for flag in &command.options {
            let Some(value) = flag.value else { continue };
            let words: Vec<String> = value.choices().map(|word| format!("'{word}'")).collect();
            let row = format!("'{typed} {}' = @({})\n", flag.long, words.join(", "));
            assert!(script.contains(&row), "{row}");
        }
    }
    assert!(
        script.contains("'--log-format' = @('text', 'json', 'journald')"),
        "run is the default"
    );
}

#[test]
fn fish_completes_commands_options_and_choices() {
    let script = script(Shell::Fish, &flags::program());
    for (typed, offered) in [
        ("che", "check"),
        ("check --js", "--json"),
        ("run --log-format jou", "journald"),
        ("control dr", "drain"),
        ("control log-level deb", "debug"),
    ] {
        let ask = format!("{script}\ncomplete -C 'amurg-runtime {typed}'\n");
        let Some(answer) = run("fish", &["--no-config"], &ask) else { return };
        let words: Vec<&str> = answer.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, [offered], "{typed}");
    }
}

#[test]
fn bash_completes_commands_options_and_choices() {
    let script = script(Shell::Bash, &flags::program());
    for (typed, offered) in [
        ("'amurg-runtime' 'che'", "check"),
        ("'amurg-runtime' 'check' '--js'", "--json"),
        ("'amurg-runtime' '--conf'", "--config"),
        ("'amurg-runtime' 'run' '--log-format' 'jou'", "journald"),
        ("'amurg-runtime' '--log-format' '=' 'js'", "json"),
        ("'amurg-runtime' 'control' 'dr'", "drain"),
        ("'amurg-runtime' 'control' 'log-level' 'deb'", "debug"),
        ("'amurg-runtime' 'completions' 'z'", "zsh"),
        // Left to the completion of files.
        ("'amurg-runtime' 'check' '--config' 'che'", ""),
    ] {
        let ask = format!(
            "{script}\nCOMP_WORDS=({typed}); COMP_CWORD=$(({{#COMP_WORDS[@]}} - 1))\n\
             _amurg_runtime; echo \"${{COMPREPLY[*]}}\"\n"
        );
        let ask = ask.replace("({#COMP", "(${#COMP");
        let Some(answer) = run("bash", &["--norc"], &ask) else { return };
        assert_eq!(answer.trim(), offered, "{typed}");
    }
}
