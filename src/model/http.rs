//! One provider's host, reached over HTTP: what is the same on every wire.
//!
//! Knows addresses, keys, timeouts and refusals; nothing of what is asked or answered. Does not try again.

use std::{
    error::Error as _,
    io::ErrorKind,
    net::IpAddr,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    ModelError, ModelErrorKind as Kind, Retry, anthropic,
    catalog::{Provider, Wire},
    fault::{self, Words},
    record::{Exchange, Recorder},
    token::{Learned, TokenCommand},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a refusal may take to be read: its body is only for the message.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The most of a refusal that is read.
const REFUSAL_LIMIT: usize = 64 << 10;
/// The most that a document may bring that is no answer, such as a list.
const DOCUMENT_LIMIT: usize = 8 << 20;
/// The most that one answer may bring.
pub const ANSWER_LIMIT: usize = 512 << 20;

/// A host that answers requests, and the key to it.
pub struct Http {
    base: Url,
    host: String,
    headers: HeaderMap,
    key: Key,
    /// The header of the key, and whether a scheme stands before it.
    key_header: (HeaderName, bool),
    idle: Duration,
    secrets: Secrets,
    /// The provider's name and language, and the file that its bytes are kept in.
    recorded: Option<((String, Wire), Arc<Recorder>)>,
    /// Made with the first request: reading the system's certificates costs more than a whole local turn.
    client: OnceLock<Client>,
}

/// A body that has begun to come.
pub struct Answer {
    pub form: Form,
    pub bytes: BoxStream<'static, Result<Bytes, ModelError>>,
}

/// What an answer says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An event stream; also assumed of what has no name or an odd one.
    Events,
    /// One JSON document.
    Json,
    /// A page for people: somebody else than the provider answered.
    Page,
}

/// Where the key comes from.
enum Key {
    None,
    Known(SecretString),
    /// It is asked for with the first request.
    Printed(Box<TokenCommand>),
}

/// What must not be seen in any message. Whoever holds it knows of tokens that come later.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<Vec<SecretString>>>);

impl Http {
    /// A host as the catalog describes it. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address, a header or the key can't be used.
    pub fn new(provider: &Provider, key: Option<&SecretString>) -> Result<Self, ModelError> {
        let request = |what: String| ModelError::new(Kind::Request, what);
        let name = &provider.name;
        let base = provider
            .base_url
            .parse::<Url>()
            .map_err(|error| request(format!("`base_url` of provider {name} is not an address: {error}")))?;
        let host = match (base.scheme(), base.host_str(), base.port()) {
            ("http" | "https", Some(host), Some(port)) => format!("{host}:{port}"),
            ("http" | "https", Some(host), None) => host.to_owned(),
            _ => {
                return Err(request(format!(
                    "`base_url` of provider {name} must begin with https:// or http://"
                )));
            }
        };
        if !base.username().is_empty() || base.password().is_some() {
            let what = format!("`base_url` of provider {name} must not hold a password; use `env_key`");
            return Err(request(what));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let key_header = match (&provider.key_header, provider.wire) {
            (Some(named), _) => {
                let header = HeaderName::from_bytes(named.as_bytes()).map_err(|_| {
                    request(format!("`key_header` of provider {name} is not the name of a header: {named}"))
                })?;
                (header, false)
            }
            (None, Wire::Anthropic) => (HeaderName::from_static(anthropic::KEY), false),
            (None, Wire::Responses | Wire::Chat | Wire::Ollama | Wire::Replay) => (AUTHORIZATION, true),
        };
        if provider.wire == Wire::Anthropic {
            let (name, version) = anthropic::VERSION;
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(version));
        }
        for (header, value) in &provider.headers {
            let (Ok(header), Ok(mut value)) =
                (HeaderName::from_bytes(header.as_bytes()), HeaderValue::from_str(value))
            else {
                return Err(request(format!("header `{header}` of provider {name} can't be sent")));
            };
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        // Each word of a header as well: servers repeat a key without the scheme before it.
        let values = provider.headers.values().flat_map(|value| {
            std::iter::once(value.as_str()).chain(value.split_whitespace()).map(SecretString::from)
        });
        let secrets = Secrets::new(key.cloned().into_iter().chain(values));
        let (idle, client) = (provider.idle_timeout, OnceLock::new());
        let printed = || match &*provider.token_command {
            [] => Key::None,
            argv => Key::Printed(Box::new(TokenCommand::new(name, argv, Arc::new(|_| {})))),
        };
        let key = key.map_or_else(printed, |key| Key::Known(key.clone()));
        let http = Self { base, host, headers, key, key_header, idle, secrets, recorded: None, client };
        if let Key::Known(key) = &http.key {
            http.with_key(key)?;
        }
        Ok(http)
    }

    /// The same, with somebody who hears of each token that a command prints.
    #[must_use]
    pub fn telling(self, provider: &Provider, learned: &Learned) -> Self {
        let key = match self.key {
            Key::Printed(_) => {
                let command = TokenCommand::new(&provider.name, &provider.token_command, Arc::clone(learned));
                Key::Printed(Box::new(command))
            }
            key => key,
        };
        Self { key, ..self }
    }

    /// The headers of a request with this key.
    fn with_key(&self, key: &SecretString) -> Result<HeaderMap, ModelError> {
        let mut headers = self.headers.clone();
        let (header, scheme) = &self.key_header;
        let key = key.expose_secret().trim();
        let value = if *scheme { format!("Bearer {key}") } else { key.to_owned() };
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            let what = format!("the key for {} has characters that no key has", self.host);
            ModelError::new(Kind::Auth, what)
        })?;
        value.set_sensitive(true);
        headers.insert(header.clone(), value);
        Ok(headers)
    }

    /// The headers of the next request, and the token in them that may be refused.
    async fn headers(
        &self,
        refused: Option<&SecretString>,
    ) -> Result<(HeaderMap, Option<SecretString>), ModelError> {
        match &self.key {
            Key::None => Ok((self.headers.clone(), None)),
            Key::Known(key) => Ok((self.with_key(key)?, None)),
            Key::Printed(command) => {
                let token = command.token(refused).await?;
                self.secrets.add(token.clone());
                Ok((self.with_key(&token)?, Some(token)))
            }
        }
    }

    /// Sends a request; once more, with a new token, when the one that a command had printed is refused.
    async fn send(&self, make: impl Fn(&Client) -> RequestBuilder) -> Result<Response, ModelError> {
        let client = self.client()?;
        let mut refused = None;
        loop {
            let (headers, token) = self.headers(refused.as_ref()).await?;
            let response = make(client).headers(headers).send().await;
            let response = response.map_err(|error| unreached(&self.host, &error))?;
            match (token, &refused) {
                (Some(token), None) if response.status() == StatusCode::UNAUTHORIZED => refused = Some(token),
                _ => return Ok(response),
            }
        }
    }

    /// The same, with all that is sent and comes kept in a file.
    #[must_use]
    pub fn recorded(self, provider: &Provider, recorder: Option<&Arc<Recorder>>) -> Self {
        let as_what = (provider.name.clone(), provider.wire);
        Self { recorded: recorder.map(|recorder| (as_what, Arc::clone(recorder))), ..self }
    }

    /// The host's name, for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What must not be seen in messages made from what this host says.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Sends a request to an address below the base, and waits until its answer begins.
    ///
    /// # Errors
    /// When the host can't be reached, or refuses.
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Answer, ModelError> {
        let kept = self.recorded.as_ref().map(|((name, wire), recorder)| {
            recorder.request((name, *wire), path, &body, self.secrets.clone())
        });
        let mut exchange = kept.transpose()?;
        let answer =
            self.try_post(path, body, &mut exchange).await.map_err(|error| self.secrets.scrub(error));
        match (answer, exchange) {
            (Ok(Answer { form, bytes }), Some(exchange)) => {
                Ok(Answer { form, bytes: exchange.passing(bytes) })
            }
            (Err(error), Some(mut exchange)) => {
                exchange.end(Some(&error.message));
                Err(error)
            }
            (answer, None) => answer,
        }
    }

    async fn try_post(
        &self,
        path: &str,
        body: Bytes,
        exchange: &mut Option<Exchange>,
    ) -> Result<Answer, ModelError> {
        let url = self.below(path);
        let sending = self.send(|client| client.post(url.clone()).body(body.clone()));
        let response =
            tokio::time::timeout(self.idle, sending).await.map_err(|_| silent(&self.host, self.idle))??;
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let form = match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" => Form::Json,
            "text/html" => Form::Page,
            _ => Form::Events,
        };
        if let Some(exchange) = exchange {
            exchange.begun(response.status().as_u16(), form);
        }
        if !response.status().is_success() {
            return Err(self.refusal(response, exchange).await);
        }
        Ok(Answer { form, bytes: self.body(response) })
    }

    /// The address of a path below the base.
    fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// Gets a document from an address below the base, or posts to it if there is a body; within this time.
    ///
    /// # Errors
    /// When the host can't be reached, refuses, takes too long, or sends too much.
    pub async fn fetch(
        &self,
        path: &str,
        body: Option<Bytes>,
        time: Duration,
    ) -> Result<Vec<u8>, ModelError> {
        let fetching = async {
            let url = self.below(path);
            let response = self
                .send(|client| match &body {
                    Some(body) => client.post(url.clone()).body(body.clone()),
                    None => client.get(url.clone()),
                })
                .await?;
            if !response.status().is_success() {
                return Err(self.refusal(response, &mut None).await);
            }
            let (mut bytes, mut all) = (self.body(response), Vec::new());
            while let Some(part) = bytes.next().await {
                all.extend_from_slice(&part?);
                if all.len() > DOCUMENT_LIMIT {
                    let what = format!("{} sent more than {} MiB", self.host, DOCUMENT_LIMIT >> 20);
                    return Err(ModelError::new(Kind::Garbage, what));
                }
            }
            Ok(all)
        };
        let fetched = tokio::time::timeout(time, fetching).await;
        fetched.unwrap_or_else(|_| Err(silent(&self.host, time))).map_err(|error| self.secrets.scrub(error))
    }

    /// The bytes of an answer, each within the idle time of the last.
    fn body(&self, response: Response) -> BoxStream<'static, Result<Bytes, ModelError>> {
        struct Body {
            host: String,
            idle: Duration,
            left: usize,
            response: Option<Response>,
        }
        let body =
            Body { host: self.host.clone(), idle: self.idle, left: ANSWER_LIMIT, response: Some(response) };
        stream::unfold(body, async |mut body| {
            let mut response = body.response.take()?;
            let item = match tokio::time::timeout(body.idle, response.chunk()).await {
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(bytes))) if bytes.len() > body.left => {
                    let what = format!("{} sent more than {} MiB", body.host, ANSWER_LIMIT >> 20);
                    Err(ModelError::new(Kind::Garbage, what).with_retry(Retry::No))
                }
                Ok(Ok(Some(bytes))) => {
                    body.left -= bytes.len();
                    body.response = Some(response);
                    Ok(bytes)
                }
                Ok(Err(error)) => {
                    let what =
                        format!("the connection to {} was lost in the middle of the answer", body.host);
                    Err(ModelError::new(Kind::Network, format!("{what}: {}", innermost(&error))))
                }
                Err(_) => Err(silent(&body.host, body.idle)),
            };
            Some((item, body))
        })
        .boxed()
    }

    /// The error that a refusal means, with as much of its body as is worth reading.
    async fn refusal(&self, mut response: Response, exchange: &mut Option<Exchange>) -> ModelError {
        let mut bytes = Vec::new();
        let read = async {
            // A body that breaks off has still said something.
            while let Ok(Some(chunk)) = response.chunk().await {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > REFUSAL_LIMIT {
                    break;
                }
            }
        };
        // Too late is as good as no more.
        let _ = tokio::time::timeout(REFUSAL_TIMEOUT, read).await;
        if let Some(exchange) = exchange {
            exchange.bytes(&bytes);
        }
        let words = Words::of_body(&bytes);
        let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        fault::of_status(&self.host, response.status(), response.headers(), &words, now)
    }

    fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Whoever was first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            // A redirect would turn the request into a GET, or carry the key elsewhere.
            .redirect(redirect::Policy::none());
        if self.base.scheme() == "http" {
            // No certificate will be looked at (but a proxy's, if it were reached over https, which is refused
            // thereby), and there may be none on this machine.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&self.base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            let what = format!("cannot prepare a connection to {}: {}", self.host, innermost(&error));
            ModelError::new(Kind::Network, what).with_retry(Retry::No)
        })?;
        Ok(self.client.get_or_init(|| client))
    }
}

impl Secrets {
    /// Words shorter than this say nothing, and would hit innocent text.
    const SHORTEST: usize = 8;

    fn new(all: impl Iterator<Item = SecretString>) -> Self {
        let secrets = Self::default();
        all.for_each(|secret| secrets.add(secret));
        secrets
    }

    fn add(&self, secret: SecretString) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &SecretString| known.expose_secret() == secret.expose_secret();
        if secret.expose_secret().trim().len() >= Self::SHORTEST && !all.iter().any(same) {
            all.push(secret);
        }
    }

    /// The error without any secret that a server may have put into its words.
    #[must_use]
    pub fn scrub(&self, error: ModelError) -> ModelError {
        ModelError { message: self.scrub_text(error.message), ..error }
    }

    /// The text without any secret.
    #[must_use]
    pub fn scrub_text(&self, mut text: String) -> String {
        for secret in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let secret = secret.expose_secret().trim();
            if text.contains(secret) {
                text = text.replace(secret, "[secret]");
            }
        }
        text
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn silent(host: &str, idle: Duration) -> ModelError {
    ModelError::new(Kind::Network, format!("nothing came from {host} for {} s", idle.as_secs_f64()))
}

fn unreached(host: &str, error: &reqwest::Error) -> ModelError {
    let reason = innermost(error);
    let what = match error.is_connect() || error.is_timeout() {
        true => format!("cannot reach {host}: {reason}"),
        false => format!("the connection to {host} was lost before an answer came: {reason}"),
    };
    let error = ModelError::new(Kind::Network, what);
    match is_certificate(&reason) {
        // It will be as wrong in a minute.
        true => error.with_retry(Retry::No),
        false => error,
    }
}

/// TLS says this of a certificate that it does not accept; its type is out of reach below three wrappers.
fn is_certificate(reason: &str) -> bool {
    reason.starts_with("invalid peer certificate")
}

/// The last cause of an error: the others say where in the library it passed, and may name the whole address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = match error.source() {
        Some(cause) => cause,
        None if error.is_timeout() => return "it took too long".to_owned(),
        None => return "no reason is known".to_owned(),
    };
    loop {
        let inner = match cause.downcast_ref::<std::io::Error>() {
            Some(io) if io.kind() == ErrorKind::TimedOut && io.get_ref().is_none() => {
                return "it took too long".to_owned();
            }
            Some(io) => io.get_ref().map(|inner| -> &(dyn std::error::Error + 'static) { inner }),
            None => cause.source(),
        };
        match inner {
            Some(inner) => cause = inner,
            None => return fault::printable(&cause.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(base_url: &str) -> Provider {
        Provider { name: "test".into(), base_url: base_url.into(), ..Provider::default() }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_at_once() {
        for url in ["", "example.com/v1", "ftp://example.com", "https://me:secret@example.com/v1", "unix:/x"]
        {
            let error = Http::new(&provider(url), None).err().unwrap_or_else(|| panic!("{url} was taken"));
            assert_eq!((error.kind, error.retry), (Kind::Request, Retry::No), "{url}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_the_host_is_named_in_messages() {
        let http = Http::new(&provider("https://example.com:8443/v1/secret?token=secret"), None).unwrap();
        assert_eq!(http.host(), "example.com:8443");
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for url in ["http://localhost:1", "http://127.0.0.1/v1", "http://127.9.9.9", "http://[::1]:8/v1"] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in ["http://10.0.0.1", "https://localhost.example.com", "http://[2001:db8::1]"] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }

    #[tokio::test]
    async fn https_is_tried_with_the_systems_certificates() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/v1", listener.local_addr().unwrap());
        drop(listener);
        let http = Http::new(&provider(&url), None).unwrap();
        let error = http.post("responses", Bytes::new()).await.err().unwrap();
        assert_eq!(error.kind, Kind::Network, "{error}");
    }

    #[test]
    fn a_key_in_a_header_is_known_without_its_scheme() {
        let headers = [("Authorization".to_owned(), "Bearer sk-of-a-header".to_owned())].into();
        let http = Http::new(&Provider { headers, ..provider("https://example.com") }, None).unwrap();
        let error = ModelError::new(Kind::Auth, "wrong key sk-of-a-header");
        assert_eq!(http.secrets().scrub(error).message, "wrong key [secret]");
    }

    #[test]
    fn a_key_is_taken_out_of_the_servers_words() {
        let secrets = Secrets::new(["sk-verysecret\n", "short"].into_iter().map(SecretString::from));
        let error = ModelError::new(Kind::Auth, "wrong key sk-verysecret, in short");
        assert_eq!(secrets.scrub(error).message, "wrong key [secret], in short");
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_without_being_shown() {
        let key = SecretString::from("sk-very\u{7f}secret");
        let error = Http::new(&provider("http://localhost"), Some(&key)).err().unwrap();
        assert_eq!(error.kind, Kind::Auth);
        assert!(!error.message.contains("secret"), "{error}");
    }
}
