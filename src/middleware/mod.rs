//! What Tyk calls middleware: things that happen to a request or an answer besides authentication
//! and forwarding, configured for a whole API or for one of its operations.

mod address_lists;
mod claim_headers;
mod cors;
mod headers;
mod metadata;
mod mock;
mod operation;
mod operations;
mod path_lists;
mod path_template;
mod path_tree;
pub mod rewrite;
mod said;
mod size_limits;
mod template;
mod wide_paths;

pub use address_lists::{AddressLists, Denied, NetworkError, Networks};
pub use claim_headers::{ClaimHeader, ClaimHeaders, Form, PayloadHeader};
pub use cors::{Cors, CorsPolicy, Verdict};
pub use headers::{HeaderRules, NameError, Rendered, field as header_field};
pub use metadata::ResourceMetadata;
pub use mock::{
    ExampleBodies, ExampleBody, ExampleMedia, ExampleResponse, Examples, Mock, MockResponse, NoExample,
};
pub use operation::{NeedsToken, Operation};
pub use operations::Operations;
pub use path_lists::{Allowed, Beginnings, Closed, Exempt, Forbidden, PathLists};
pub use path_template::{PathTemplate, TemplateError};
pub use said::Said;
pub use size_limits::{SizeLimits, check_announced_size};
pub use template::{Facts, NotForwardable, Template};
pub use wide_paths::{Case, WidePath, WidePaths};

/// What a request asks for, below the listen path.
#[derive(Clone, Copy, Debug)]
pub struct Place<'r> {
    /// Its method.
    pub method: &'r http::Method,
    /// Its decoded path.
    pub path: &'r str,
    /// Servers may read the path differently.
    pub ambiguous: bool,
}

/// What an API lets pass before it asks for a token.
#[derive(Clone, Debug, Default)]
pub struct Restrictions {
    /// Which clients are answered.
    pub addresses: AddressLists,
    /// How large the bodies of requests may be.
    pub sizes: SizeLimits,
    /// Which operations are open at all.
    pub paths: PathLists,
}
