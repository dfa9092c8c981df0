//! Cross-origin requests (Fetch standard, CORS protocol).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

use crate::refusal::Profile;

/// Which pages of other origins may use an API.
#[derive(Clone, Debug, Default)]
pub struct CorsPolicy {
    /// Origins, with at most one `*` each; `*` alone for every origin.
    pub allowed_origins: Vec<String>,
    /// Methods; empty for GET, HEAD and POST.
    pub allowed_methods: Vec<String>,
    /// Request headers; `*` for any; empty for `Accept`, `Content-Type` and `X-Requested-With`.
    pub allowed_headers: Vec<String>,
    /// Response headers that pages may read.
    pub exposed_headers: Vec<String>,
    /// Pages may send credentials.
    pub allow_credentials: bool,
    /// How long browsers keep the answer to a preflight, in seconds; 0 for their default.
    pub max_age: u64,
    /// Preflights go to the upstream, without a token.
    pub options_passthrough: bool,
}

/// A compiled [`CorsPolicy`].
#[derive(Clone, Debug)]
pub struct Cors {
    /// The text before and after the `*`; nothing after for an exact origin.
    origins: Vec<(String, Option<String>)>,
    any_origin: bool,
    methods: Vec<String>,
    headers: Vec<String>,
    any_header: bool,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    passthrough: bool,
    profile: Profile,
}

/// What CORS makes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on.
    GoOn,
    /// It goes to the upstream without a token: the upstream answers preflights.
    PassThrough,
    /// It is answered.
    Answer(Response<Bytes>),
}

impl Cors {
    /// Compiles a policy.
    #[must_use]
    pub fn new(policy: &CorsPolicy, profile: Profile) -> Self {
        let or = |list: &[String], default: &[&str]| -> Vec<String> {
            if list.is_empty() { default.iter().map(|s| (*s).into()).collect() } else { list.to_vec() }
        };
        let headers = or(&policy.allowed_headers, &["accept", "content-type", "x-requested-with"]);
        let exposed = policy.exposed_headers.join(", ");
        Self {
            origins: policy
                .allowed_origins
                .iter()
                .map(|origin| pattern(&origin.to_ascii_lowercase()))
                .collect(),
            any_origin: policy.allowed_origins.is_empty() || policy.allowed_origins.iter().any(|o| o == "*"),
            methods: or(&policy.allowed_methods, &["GET", "HEAD", "POST"]),
            any_header: headers.iter().any(|header| header == "*"),
            headers: headers.iter().map(|header| header.to_ascii_lowercase()).collect(),
            exposed: HeaderValue::try_from(exposed).ok().filter(|value| !value.is_empty()),
            credentials: policy.allow_credentials,
            max_age: (policy.max_age > 0).then(|| policy.max_age.into()),
            passthrough: policy.options_passthrough,
            profile,
        }
    }

    /// What becomes of a request before it is authenticated.
    #[must_use]
    pub fn receive(&self, method: &Method, headers: &HeaderMap, has_body: bool) -> Verdict {
        if method != Method::OPTIONS {
            return Verdict::GoOn;
        }
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|method| !method.is_empty());
        if self.passthrough {
            // Tyk lets every OPTIONS request pass here. With a body that is a way around the token, and
            // no preflight has one (Fetch standard, CORS-preflight fetch).
            let preflight = wanted.is_some() && headers.contains_key(ORIGIN);
            let passes = !has_body && (preflight || self.profile == Profile::Tyk);
            return if passes { Verdict::PassThrough } else { Verdict::GoOn };
        }
        let mut response = Response::new(Bytes::new());
        match wanted {
            Some(wanted) => {
                *response.status_mut() = StatusCode::NO_CONTENT;
                self.preflight(wanted, headers, response.headers_mut());
            }
            None => self.decorate(method, headers.get(ORIGIN), response.headers_mut()),
        }
        Verdict::Answer(response)
    }

    fn preflight(&self, wanted: &HeaderValue, asked: &HeaderMap, answer: &mut HeaderMap) {
        const VARY_ON: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        answer.append(VARY, HeaderValue::from_static(VARY_ON));
        let names = asked.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let Some(origin) = self.allowed_origin(asked.get(ORIGIN)) else { return };
        if !self.allows_method(wanted.as_bytes()) || !names.is_none_or(|names| self.allows_headers(names)) {
            return;
        }
        self.allow(origin, answer);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        if let Some(max_age) = &self.max_age {
            answer.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
    }

    /// Adds the headers of this policy to the answer to a request with this method and `Origin`,
    /// instead of any that the upstream set.
    pub fn decorate(&self, method: &Method, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        const OURS: [HeaderName; 3] =
            [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS];
        if self.passthrough && method == Method::OPTIONS {
            return;
        }
        OURS.iter().for_each(|name| {
            answer.remove(name);
        });
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.allowed_origin(origin) else { return };
        if !self.allows_method(method.as_str().as_bytes()) {
            return;
        }
        self.allow(origin, answer);
        if let Some(exposed) = &self.exposed {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    fn allow(&self, origin: HeaderValue, answer: &mut HeaderMap) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    fn allowed_origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        if self.any_origin {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        let allowed = self.origins.iter().any(|(before, after)| match after {
            None => text == *before,
            Some(after) => {
                text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
            }
        });
        allowed.then(|| origin.clone())
    }

    fn allows_method(&self, method: &[u8]) -> bool {
        method == b"OPTIONS"
            || self.methods.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(method))
    }

    fn allows_headers(&self, names: &HeaderValue) -> bool {
        let Ok(names) = names.to_str() else { return false };
        self.any_header
            || names.split(',').map(str::trim).filter(|name| !name.is_empty()).all(|name| {
                name.eq_ignore_ascii_case("origin")
                    || self.headers.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
            })
    }
}

fn pattern(origin: &str) -> (String, Option<String>) {
    match origin.split_once('*') {
        Some((before, after)) => (before.into(), Some(after.into())),
        None => (origin.into(), None),
    }
}
