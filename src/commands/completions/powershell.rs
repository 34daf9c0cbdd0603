//! For PowerShell: one table of what may follow which words, and one of what an
//! option takes. Where nothing is offered, PowerShell completes files itself.

use std::fmt::Write as _;

use super::super::flags::{Command, Flag, PROGRAM};

/// The script.
pub fn script(program: &Command) -> String {
    let (mut commands, mut values, mut offers) = (String::new(), String::new(), String::new());
    // Writing to a string cannot fail.
    for command in program.all() {
        let typed = command.words.join(" ");
        let _ = writeln!(offers, "        {} {{ @(", quoted(&typed));
        let mut offer = |word: &str, kind: &str, about: &str| {
            let about = if about.is_empty() { word } else { about };
            let _ = writeln!(
                offers,
                "            [System.Management.Automation.CompletionResult]::new({0}, {0}, '{kind}', {1})",
                quoted(word),
                quoted(about)
            );
        };
        for below in &command.commands {
            offer(below.name(), "ParameterValue", below.summary());
            let _ = writeln!(commands, "        {}", quoted(&below.words.join(" ")));
        }
        for argument in &command.arguments {
            argument.value.choices().for_each(|word| offer(word, "ParameterValue", argument.about));
        }
        for flag in options(program, command) {
            offer(flag.long, "ParameterName", flag.about);
            if let Some(value) = flag.value {
                let key = format!("{typed} {}", flag.long);
                let words: Vec<String> = value.choices().map(quoted).collect();
                let _ = writeln!(
                    values,
                    "        {} = @({})",
                    quoted(key.trim_start()),
                    words.join(", ")
                );
            }
        }
        offers.push_str("        ) }\n");
    }
    format!(
        "# PowerShell completion for {PROGRAM}
Register-ArgumentCompleter -Native -CommandName '{PROGRAM}' -ScriptBlock {{
    param($word, $line, $cursor)
    $commands = @(
{commands}    )
    $values = @{{
{values}    }}
    $command = ''
    $previous = ''
    foreach ($element in $line.CommandElements | Select-Object -Skip 1) {{
        if ($element.Extent.EndOffset -ge $cursor) {{ break }}
        $previous = $element.Extent.Text
        $longer = \"$command $previous\".Trim()
        if ($commands -contains $longer) {{ $command = $longer }}
    }}
    $option = \"$command $previous\".Trim()
    if ($values.ContainsKey($option)) {{
        $values[$option] | Where-Object {{ $_ -like \"$word*\" }}
        return
    }}
    $offers = switch ($command) {{
{offers}    }}
    $offers | Where-Object {{ $_.CompletionText -like \"$word*\" }}
}}
"
    )
}

/// A command's options; without a command those of `run`, which is the default.
fn options<'a>(program: &'a Command, command: &'a Command) -> &'a [Flag] {
    let run = program.commands.iter().find(|below| below.name() == "run");
    if command.words.is_empty() { run.map_or(&[], |run| &run.options) } else { &command.options }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\n', " ").replace('`', "").replace('\'', "''"))
}
