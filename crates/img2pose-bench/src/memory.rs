//! Peak memory, each subject in a process of its own: what one process has freed is not given back at once, and would
//! count for the next.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::report::{Measured, Report};

#[derive(Deserialize)]
struct Child {
    peak_memory_mib: u64,
}

/// Runs this program again for every line of the report, for two passes of one batch.
pub fn measure(report: &mut Report) -> Result<()> {
    for measured in &mut report.subjects {
        measured.peak_memory_mib = Some(peak_of(measured)?);
    }
    Ok(())
}

fn peak_of(measured: &Measured) -> Result<u64> {
    let (subject, batch) = (measured.subject.name(), measured.batch_size.to_string());
    // Last ones win: the child gets the same frames and settings, and less of them.
    let mut arguments: Vec<String> = Vec::new();
    let mut given = std::env::args().skip(1).peekable();
    while let Some(argument) = given.next() {
        let name = argument.split('=').next().unwrap_or_default();
        match name {
            "--memory" | "--json" => {}
            "--save" | "--subject" | "--batch-size" | "--provider" | "--rounds" | "--frames" => {
                if !argument.contains('=') {
                    given.next();
                }
            }
            _ => arguments.push(argument),
        }
    }
    let provider = measured.provider.to_string();
    for (name, value) in [
        ("--subject", subject),
        ("--batch-size", &batch),
        ("--provider", &provider),
        ("--rounds", "1"),
        ("--frames", &batch),
    ] {
        arguments.extend([name.to_owned(), value.to_owned()]);
    }
    arguments.push("--json".to_owned());
    let program = std::env::current_exe().context("this program's own file is gone")?;
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("this program cannot be started again")?;
    ensure!(
        output.status.success(),
        "{provider}, {subject}, batch {batch}: the run for the memory failed"
    );
    let child: Child = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{subject}, batch {batch}: the run for the memory gave no result"))?;
    Ok(child.peak_memory_mib)
}
