//! What Tyk calls middleware: things that happen to a request or an answer besides authentication
//! and forwarding, configured for a whole API or for one of its operations.

mod by_path;
mod claim_headers;
mod cors;
mod headers;
mod metadata;
mod mock;
mod operation;
mod path_template;
mod path_tree;
mod template;

pub use by_path::ByPath;
pub use claim_headers::{ClaimHeader, ClaimHeaders, Form, PayloadHeader};
pub use cors::{Cors, CorsPolicy, Verdict};
pub use headers::{HeaderRules, NameError, Rendered, field as header_field};
pub use metadata::ResourceMetadata;
pub use mock::MockResponse;
pub use operation::{NeedsToken, Operation, Operations};
pub use path_template::{PathTemplate, TemplateError};
pub use template::{Facts, NotForwardable, Template};
