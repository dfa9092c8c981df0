//! What a request costs before it is forwarded: verifying a token, recalling one, finding its API,
//! asking its limits.

#![expect(clippy::unwrap_used, reason = "a benchmark that meets the unexpected should stop")]

use std::{
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use claimgate::{
    access::SchemeScopes,
    auth::Authenticator,
    gateway::Router,
    jwks::{Fetch, FetchError, Fetched, Registry, Wanted},
    jwt::{
        Algorithm, Ambiguity, Token, import_key,
        jwe::{
            AesSize, ContentEncryption, Decryption, KeyManagement,
            encrypt::{EncryptionKey, generate},
            import_decryption_keys,
        },
        sign::SigningKey,
    },
    limits::{
        Allowance, ApiLimits, Asking, Caller, Counted, Endpoints, Limiter, Limits, Pass, Plan, Quota, Rate,
    },
    listen::ListenAt,
    middleware::{Operation, Operations, PathTemplate},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use serde_json::{Value, json};

fn claims() -> Value {
    json!({
        "iss": "https://idp.test", "sub": "user@example.com", "aud": ["api", "account"],
        "iat": 1_700_000_000, "exp": 4_102_444_800_u64, "scope": "openid profile email",
        "realm_access": { "roles": ["offline_access", "uma_authorization", "customer"] },
    })
}

/// A key's own material: its public half as a JWK, or the secret.
fn material(key: &SigningKey) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    match key.public_jwk(Some("k")) {
        Some(jwk) => jwk.to_string().into_bytes(),
        None => STANDARD.decode(key.to_text().unwrap().trim()).unwrap(),
    }
}

fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode and verify");
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = import_key(&material(&key), algorithm.into()).unwrap();
        let text = key.sign(&json!({ "kid": "k" }), &claims()).unwrap();
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| {
                let token = Token::parse(black_box(&text), 16 * 1024).unwrap();
                let key = keys.find(token.kid(), algorithm, algorithm.into(), Ambiguity::Refuse).unwrap();
                token.verify(key).unwrap()
            });
        });
    }
    group.finish();
}

/// An encrypted token around one that is signed with ES256.
fn decrypt(c: &mut Criterion) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let signer = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = import_key(&material(&signer), Algorithm::ES256.into()).unwrap();
    let signed = signer.sign(&json!({ "kid": "k" }), &claims()).unwrap();
    let encryption = ContentEncryption::Gcm(AesSize::A256);
    let mut group = c.benchmark_group("decrypt and verify, A256GCM around ES256");
    for algorithm in [
        KeyManagement::RsaOaep256,
        KeyManagement::EcdhEs,
        KeyManagement::EcdhEsKw(AesSize::A256),
        KeyManagement::Kw(AesSize::A256),
        KeyManagement::Dir,
    ] {
        let text = generate(algorithm).unwrap();
        let key = STANDARD.decode(text.trim()).unwrap_or_else(|_| text.clone().into());
        let own = import_decryption_keys(&key, None, Some(algorithm)).unwrap();
        let decryption = Decryption::new(own).unwrap();
        let theirs = EncryptionKey::from_text(&text, None, Some(algorithm)).unwrap();
        let text = theirs.encrypt(encryption, &json!({}), &signed).unwrap();
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| {
                let signed = decryption.open(black_box(&text), 16 * 1024).unwrap();
                let token = Token::parse(&signed, 16 * 1024).unwrap();
                let es256 = Algorithm::ES256;
                let key = keys.find(token.kid(), es256, es256.into(), Ambiguity::Refuse).unwrap();
                token.verify(key).unwrap()
            });
        });
    }
    group.finish();
}

#[derive(Debug)]
struct Nothing;

impl Fetch for Nothing {
    fn fetch<'a>(&'a self, _wanted: Wanted<'a>) -> Fetched<'a> {
        Box::pin(async { Err(FetchError::new("nothing is fetched here")) })
    }
}

fn authenticate(c: &mut Criterion) {
    let registry = Registry::start(Arc::new(Nothing)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let build = || {
        Authenticator::builder([Algorithm::RS256])
            .key(material(&key))
            .issuers(["https://idp.test"])
            .audiences(["api"])
            .build(&registry)
            .unwrap()
    };
    let token = key.sign(&json!({ "kid": "k" }), &claims()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    let mut group = c.benchmark_group("authenticate, RS256");
    group.bench_function("first time", |b| {
        let first = |authenticator: &mut Authenticator| {
            runtime.block_on(authenticator.authenticate(black_box(&headers), None)).unwrap()
        };
        // By reference: dropping the authenticator and its empty cache is not part of a request.
        b.iter_batched_ref(build, first, BatchSize::SmallInput);
    });
    let authenticator = build();
    group.bench_function("again", |b| {
        b.iter(|| runtime.block_on(authenticator.authenticate(black_box(&headers), None)).unwrap());
    });
    let none = HeaderMap::new();
    group.bench_function("no token", |b| {
        b.iter(|| runtime.block_on(authenticator.authenticate(black_box(&none), None)).unwrap_err());
    });
    group.finish();
}

/// A plan with this rate in a second and this quota in a day, which nobody reaches.
fn plan(rate: f64, quota: i64) -> Plan {
    let rate = Rate { allowance: Allowance::rate(rate, 1.0), throttle: None };
    Plan::new(Limits { rate, quota: Quota::new(quota, 86_400) }, Endpoints::default(), "api", &["session"])
}

fn ask(limiter: &Limiter, caller: Caller, plan: &Plan, api: &ApiLimits) -> Pass {
    let (caller, among) = (Some((caller.into(), plan)), Caller::EVERYBODY);
    let (paths, counted) = (["/api/x", "/x"], &Counted::default());
    let asking = Asking {
        caller,
        api,
        operation: None,
        among,
        method: &Method::GET,
        paths,
        ambiguous: false,
        counted,
    };
    let deciding = pin!(limiter.admit(black_box(&asking), Instant::now));
    let Poll::Ready(decided) = deciding.poll(&mut Context::from_waker(Waker::noop())) else { unreachable!() };
    decided.unwrap()
}

fn limits(c: &mut Criterion) {
    let api = ApiLimits::default();
    let mut group = c.benchmark_group("limits");
    let caller = Caller::new(Some("https://idp.test"), "user@example.com");
    for (name, plan) in
        [("none", plan(0.0, -1)), ("rate", plan(1e9, -1)), ("rate and quota", plan(1e9, i64::MAX))]
    {
        let limiter = Limiter::in_memory(Instant::now());
        group.bench_function(name, |b| b.iter(|| ask(&limiter, caller, &plan, &api)));
    }
    let (limiter, plan) = (Limiter::in_memory(Instant::now()), plan(1e9, i64::MAX));
    let callers: Vec<_> =
        (0..100_000).map(|n| Caller::new(Some("https://idp.test"), &n.to_string())).collect();
    let mut turn = callers.iter().cycle();
    group.bench_function("rate and quota, 100,000 callers in turn", |b| {
        b.iter(|| ask(&limiter, *turn.next().unwrap(), &plan, &api));
    });
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ask(&limiter, caller, &plan, &api);
            }
        });
        group.bench_function("rate and quota, another thread asking for the same caller", |b| {
            b.iter(|| ask(&limiter, caller, &plan, &api));
        });
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for count in [1, 100, 10_000] {
        let mut router = Router::default();
        for n in 0..count {
            router.insert(None, &ListenAt::new(&format!("/team-{}/service-{n}/", n % 7)).unwrap(), n);
        }
        let path = format!("/team-{}/service-{}/orders/42/lines", (count / 2) % 7, count / 2);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{count} APIs"), |b| {
            b.iter(|| router.find(black_box("gateway.test"), black_box(&path)).unwrap());
        });
    }
    group.finish();
}

/// What finding the operation of a request costs, by how many an API has.
fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("operation");
    for count in [5, 50, 500] {
        let declared: Vec<PathTemplate> = (0..count)
            .flat_map(|n| [format!("/v1/service-{n}/things"), format!("/v1/service-{n}/things/{{id}}/parts")])
            .map(|path| PathTemplate::new(&path).unwrap())
            .collect();
        let operation = |path: &PathTemplate| Operation::new(Method::GET, path.clone());
        let operations =
            Operations::new(declared.iter().map(operation).collect(), &declared, SchemeScopes::default());
        for (name, path) in [
            ("plain", format!("/v1/service-{}/things", count - 1)),
            ("template", format!("/v1/service-{}/things/42/parts", count - 1)),
        ] {
            group.bench_function(format!("{name}, {} operations", count * 2), |b| {
                b.iter(|| operations.said(&Method::GET, black_box(&path), false).exact.unwrap());
            });
        }
        group.bench_function(format!("none of {} operations", count * 2), |b| {
            b.iter(|| operations.said(&Method::GET, black_box("/v2/elsewhere"), false).exact.is_none());
        });
    }
    group.finish();
}

criterion_group! {
    name = request;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = verify, decrypt, authenticate, route, operations, limits
}
criterion_main!(request);
