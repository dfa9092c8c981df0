//! The tower layer.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Uri, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::Authentication;
use crate::refusal::{Asked, Manner, Overrides};

/// Puts an [`Authentication`] in front of a service.
///
/// The response to a refused request has the [`Reason`](crate::refusal::Reason) in its extensions, for
/// logs and metrics of layers around this one.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    authentication: Arc<Authentication>,
    strip: bool,
}

impl AuthLayer {
    /// Lets requests with a good token through, with their
    /// [`Session`](crate::session::Session) in the extensions. An
    /// [`Authenticator`](super::Authenticator) will do.
    pub fn new(authentication: impl Into<Authentication>) -> Self {
        Self { authentication: Arc::new(authentication.into()), strip: false }
    }

    /// Takes the credential out of the request before the service sees it.
    #[must_use]
    pub fn strip_credentials(self) -> Self {
        Self { strip: true, ..self }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, layer: self.clone() }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<AuthBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one to call; its clone waits for the next poll.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let AuthLayer { authentication, strip } = self.layer.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match authentication.authenticate(&parts.headers, parts.uri.query()).await {
                Ok(session) => {
                    parts.extensions.insert(session);
                }
                Err(refusal) => {
                    let manner = Manner {
                        profile: authentication.profile(),
                        asked: Asked::new(&parts.method, &parts.headers),
                        space: authentication.space(None),
                        overrides: &Overrides::default(),
                    };
                    let mut response = refusal.response(&manner).map(AuthBody::refusal);
                    response.extensions_mut().insert(refusal.reason());
                    return Ok(response);
                }
            }
            if strip {
                authentication.strip_headers(&mut parts.headers);
                strip_query(&authentication, &mut parts.uri);
            }
            let response = inner.call(Request::from_parts(parts, body)).await?;
            Ok(response.map(AuthBody::inner))
        })
    }
}

fn strip_query(authentication: &Authentication, uri: &mut Uri) {
    let Some(query) = uri.query().and_then(|query| authentication.strip_query(query)) else { return };
    let path = uri.path();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut parts = mem::take(uri).into_parts();
    // Parts of a valid target make one.
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

pin_project! {
    /// The body of a response: the service's own, or that of a refusal.
    #[derive(Debug)]
    pub struct AuthBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjected]
    enum Kind<R> {
        Inner { #[pin] body: R },
        Refusal { body: Option<Bytes> },
    }
}

impl<R> AuthBody<R> {
    const fn inner(body: R) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    const fn refusal(body: Bytes) -> Self {
        Self { kind: Kind::Refusal { body: Some(body) } }
    }
}

impl<R: Default> Default for AuthBody<R> {
    fn default() -> Self {
        Self::inner(R::default())
    }
}

impl<R: Body<Data = Bytes>> Body for AuthBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProjected::Inner { body } => body.poll_frame(context),
            KindProjected::Refusal { body } => {
                Poll::Ready(body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { body } => body.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { body } => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
        }
    }
}
