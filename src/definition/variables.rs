//! Variables of templates, as far as it is known at load what they stand for.

use super::context::Context;
use crate::{document::FieldPath, middleware::Template};

/// Tells of variables that stand for nothing in what `what` names and stands at `at`; `context_variables` says
/// whether `$tyk_context` has values.
pub(super) fn check(
    context: &mut Context<'_>,
    at: &FieldPath,
    what: &str,
    template: &Template,
    context_variables: bool,
) {
    if template.names_stored_session() {
        let message = format!(
            "$tyk_context.token in {what} is the API key, or the id of the session that Tyk has stored; no session is stored here, and no key is given away; write a claim that says who it is, such as $tyk_context.jwt_claims_sub"
        );
        context.error(at, message);
    } else if template.has_unknown_variables() {
        let message =
            format!("a variable in {what} is not known, so it stands for nothing; correct its name");
        context.warning(at, message);
    } else if !context_variables && template.needs_context() {
        let message =
            format!("contextVariables is off, so $tyk_context in {what} stands for nothing; switch it on");
        context.warning(at, message);
    }
}
