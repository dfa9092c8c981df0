//! `claimgate explain`

use std::{
    env, fs,
    io::{self, Read as _},
    process::ExitCode,
};

use claimgate::{
    config::{Config, Flags},
    document::{Findings, Severity},
    explain::Step,
    gateway::{Asked, End, Explanation, Question, parse_time},
    node,
};
use clap::Args;
use zeroize::Zeroizing;

use super::{BAD_CONFIGURATION, RunFlags};

/// What becomes of a request, or whether an API takes a token.
#[derive(Args, Debug)]
pub(super) struct ExplainFlags {
    /// The method and the URL of a request; the method may be left out for GET.
    #[arg(value_name = "METHOD URL", num_args = 0..=2)]
    request: Vec<String>,
    /// A header field of the request.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "request")]
    headers: Vec<String>,
    /// The API that is to take the token, instead of a request.
    #[arg(long, value_name = "ID", conflicts_with = "request")]
    api: Option<String>,
    /// The token, `-` for standard input; it stands where the API looks for one. Who may list processes
    /// sees it: prefer --token-file or `-`.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file", allow_hyphen_values = true)]
    token: Option<String>,
    /// A file with the token, `-` for standard input.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    token_file: Option<String>,
    /// When it is decided, as in 2026-11-21T10:00:00Z or in seconds since 1970 [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The address that the request comes from, as ipAccessControl would see it [default: 127.0.0.1].
    #[arg(long, value_name = "ADDRESS", requires = "request")]
    client: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunFlags,
}

pub(super) fn explain(flags: ExplainFlags) -> ExitCode {
    let as_json = flags.json;
    match asked(flags).and_then(|(question, flags)| decide(&question, &flags)) {
        Ok(explanation) => {
            if as_json {
                say!("{:#}", explanation.to_json());
            } else {
                print(&explanation);
            }
            if explanation.is_let_through() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn asked(flags: ExplainFlags) -> Result<(Question, Flags), String> {
    let error = |message: &dyn std::fmt::Display| format!("error: {message}");
    let token = match (flags.token, flags.token_file) {
        (Some(token), _) if token == "-" => Some(read("-")?),
        (Some(token), _) => Some(Zeroizing::new(token)),
        (None, Some(file)) => Some(read(&file)?),
        (None, None) => None,
    };
    let time = flags.at.map(|text| {
        let message = "--at is a time such as 2026-11-21T10:00:00Z (in UTC), or seconds since 1970";
        parse_time(&text).ok_or_else(|| error(&message))
    });
    let header = |line: &String| {
        let (name, value) = line.split_once(':').ok_or_else(|| error(&"a header is 'Name: value'"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let mut request = flags.request.into_iter().rev();
    let (url, method) = (request.next(), request.next());
    let asked = Asked {
        api: flags.api,
        method,
        url,
        headers: flags.headers.iter().map(header).collect::<Result<_, String>>()?,
        token,
        time: time.transpose()?,
        client: flags.client,
    };
    Ok((Question::new(asked).map_err(|reason| error(&reason))?, flags.run.into()))
}

fn read(file: &str) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    let read = match file {
        "-" => io::stdin().read_to_string(&mut text),
        file => fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| format!("error: {file} cannot be read: {error}"))?;
    Ok(text)
}

fn decide(question: &Question, flags: &Flags) -> Result<Explanation, String> {
    let mut findings = Findings::default();
    let config = Config::load(flags, env::vars_os(), &mut findings);
    let lines = |findings: Vec<claimgate::document::Finding>| {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let Some(config) = config else { return Err(lines(findings.sorted())) };
    node::explain(config, question).map_err(|error| match error {
        node::ExplainError::Start(node::StartError::Findings(findings)) => lines(findings),
        error => format!("error: {error}"),
    })
}

/// A line for each step, and the end.
fn print(explanation: &Explanation) {
    let width = explanation.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
    let requirements = explanation.steps.iter().filter_map(|step| Some(step.scheme.as_ref()?.requirement));
    let are_several = requirements.max().is_some_and(|last| last > 1);
    let mut scheme = None;
    for step in &explanation.steps {
        if are_several && step.scheme != scheme {
            scheme.clone_from(&step.scheme);
            if let Some(scheme) = &scheme {
                say!("requirement {}, scheme {}:", scheme.requirement, visible(&scheme.name));
            }
        }
        print_step(step, width);
    }
    match &explanation.end {
        End::Passes => say!("\nlet through"),
        End::Answered(response) => say!("\nanswered by the gateway itself: {}", response.status()),
        End::Refused(reason, response) => {
            say!("\nrefused: {}, reason {}", response.status(), reason.code());
            for line in String::from_utf8_lossy(response.body()).lines() {
                say!("  {}", visible(line));
            }
            say!("cause: {}", reason.advice());
        }
    }
}

fn print_step(step: &Step, width: usize) {
    let mark = match (step.outcome.name(), step.decides) {
        (_, true) => "FAIL>",
        ("fail", false) => "FAIL ",
        ("ok", false) => "ok   ",
        ("warn", false) => "warn ",
        (_, false) => "-    ",
    };
    say!("{mark} {:width$}  {}", visible(&step.name), visible(&step.found));
    let differs = step.outcome.name() != "ok";
    if let Some(expected) = step.expected.as_ref().filter(|_| differs) {
        say!("      {:width$}  expected: {}", "", visible(expected));
    }
}

/// A text that does nothing to a terminal: what steers it, or turns or hides what is written, is told by
/// its number.
fn visible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_steers_a_terminal_is_told_by_its_number() {
        for (text, shown) in [
            ("plain é 漢", "plain é 漢"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("a\r\nb\u{9b}", "a\\u{d}\\u{a}b\\u{9b}"),
            ("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}"),
            ("\u{200b}\u{feff}\u{e0041}", "\\u{200b}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
