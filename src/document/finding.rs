//! What is wrong, where, and how to mend it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

use super::{FieldPath, File};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used; somebody should look at this.
    Warning,
}

/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder.
    pub file: PathBuf,
    /// The line, if the problem has one.
    pub line: Option<u32>,
    /// The field, if the problem has one.
    pub field: Option<String>,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Finding {
    /// An error of a whole file or folder.
    #[must_use]
    pub fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            field: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        // A value from the file may stand in the message; it must not start a line of its own.
        write!(f, ": {}", self.message.replace(['\n', '\r'], " "))
    }
}

/// The problems that were found so far.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
    /// The fields that errors name, by file: there may be thousands of files, and each is asked for its own.
    errors: HashMap<PathBuf, HashSet<Option<String>>>,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.errors.entry(finding.file.clone()).or_default().insert(finding.field.clone());
        }
        self.all.push(finding);
    }

    /// Adds an error at a field of a document.
    pub fn error(&mut self, document: &File, at: &FieldPath, message: impl Into<String>) {
        self.at(Severity::Error, document, at, message.into());
    }

    /// Adds a warning at a field of a document.
    pub fn warning(&mut self, document: &File, at: &FieldPath, message: impl Into<String>) {
        self.at(Severity::Warning, document, at, message.into());
    }

    fn at(&mut self, severity: Severity, document: &File, at: &FieldPath, message: String) {
        let field = Some(at.to_string()).filter(|field| !field.is_empty());
        // What a field lost because its value was no good is not missing on top of that.
        let is_told = || self.errors.get(document.path()).is_some_and(|fields| fields.contains(&field));
        if field.is_some() && is_told() {
            return;
        }
        let file = document.path().to_owned();
        self.push(Finding { severity, file, line: document.line(at), field, message });
    }

    /// The same with other messages.
    #[must_use]
    pub fn reworded(mut self, reword: impl Fn(&str) -> String) -> Self {
        for finding in &mut self.all {
            finding.message = reword(&finding.message);
        }
        self
    }

    /// Adds all of another list.
    pub fn append(&mut self, mut other: Self) {
        self.all.append(&mut other.all);
        for (file, fields) in other.errors {
            self.errors.entry(file).or_default().extend(fields);
        }
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether an error names this file.
    #[must_use]
    pub fn has_errors_in(&self, file: &Path) -> bool {
        self.errors.contains_key(file)
    }

    /// Whether an error names this field of this file, or something in it.
    #[must_use]
    pub fn has_errors_at(&self, document: &File, at: &FieldPath) -> bool {
        let whole = at.to_string();
        let is_within = |field: &str| {
            field.strip_prefix(&*whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let errors = self.errors.get(document.path());
        errors.into_iter().flatten().any(|field| field.as_deref().is_some_and(is_within))
    }

    /// The findings by file, line and severity.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by(|a, b| {
            (&a.file, a.line, a.severity, &a.field).cmp(&(&b.file, b.line, b.severity, &b.field))
        });
        self.all
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.sorted().into_iter()
    }
}
