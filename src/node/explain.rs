//! An explanation without a gateway that serves.

use std::{fmt, sync::Arc};

use tokio::runtime::Builder;

use super::StartError;
use crate::{
    config::Config,
    gateway::{Control, Explanation, Question, QuestionError},
    jwks::{HttpFetch, Registry},
};

/// Why there is no explanation.
#[derive(Debug)]
pub enum ExplainError {
    /// A gateway with this configuration would not start.
    Start(StartError),
    /// The question makes no sense.
    Question(QuestionError),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Question(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExplainError {}

/// What a gateway with this configuration would make of a request, and why. It reads the documents and
/// fetches the keys, and ends.
///
/// # Errors
/// [`ExplainError`]; must not be called on a thread that runs asynchronous tasks.
pub fn explain(config: Config, question: &Question) -> Result<Explanation, ExplainError> {
    let start = |error: StartError| ExplainError::Start(error);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| start(e.into()))?;
    let fetch = HttpFetch::new().map_err(|e| start(e.into()))?;
    let registry = Registry::new(Arc::new(fetch), runtime.handle().clone());
    let explanation = runtime.block_on(async {
        let (control, findings) = Control::new(config, registry).await;
        let control = control.ok_or_else(|| start(StartError::Findings(findings.sorted())))?;
        control.join().await;
        control.explain(question).await.map_err(ExplainError::Question)
    });
    runtime.shutdown_background();
    explanation
}
