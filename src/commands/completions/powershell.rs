//! For PowerShell: one table of what may follow which words.

use std::fmt::Write as _;

use super::super::flags::{Command, PROGRAM};

/// The script.
pub fn script(program: &Command) -> String {
    let mut commands = String::new();
    let mut offers = String::new();
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
        for flag in &command.options {
            offer(flag.long, "ParameterName", flag.about);
        }
        offers.push_str("        ) }\n");
    }
    format!(
        "# PowerShell completion for {PROGRAM}
Register-ArgumentCompleter -Native -CommandName '{PROGRAM}' -ScriptBlock {{
    param($word, $line, $cursor)
    $commands = @(
{commands}    )
    $command = ''
    foreach ($element in $line.CommandElements | Select-Object -Skip 1) {{
        if ($element.Extent.EndOffset -ge $cursor) {{ break }}
        $longer = \"$command $($element.Extent.Text)\".Trim()
        if ($commands -contains $longer) {{ $command = $longer }}
    }}
    $offers = switch ($command) {{
{offers}    }}
    $offers | Where-Object {{ $_.CompletionText -like \"$word*\" }}
}}
"
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\n', " ").replace('`', "").replace('\'', "''"))
}
