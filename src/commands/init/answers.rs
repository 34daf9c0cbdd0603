//! What a configuration shall hold: from the options, from a person where one
//! can be asked, from defaults otherwise. Nothing is written and nobody dialled.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Init;
use super::agents::{self, Agent, Found};
use super::ask::{Person, Silent, until_understood};
use super::failure::Failure;
use crate::config::{Environment, paths, token, url};
use crate::secret::Secret;

/// The hub of a first try on one machine.
const LOCAL_HUB: &str = "ws://localhost:8090/ws/runtime";

/// What a configuration shall hold.
#[derive(Debug)]
pub struct Answers {
    /// The hub's address.
    pub hub_url: String,
    /// Where the token comes from.
    pub token: TokenFrom,
    /// `runtime.id`; the hub's own choice wins when it registers this machine.
    pub id: String,
    /// What people call this machine: its host name.
    pub machine: String,
    /// The agents, in order; at least one.
    pub agents: Vec<Agent>,
    /// Where the programs among them start; `None`: at home.
    pub work_dir: Option<PathBuf>,
}

/// Where the token comes from.
#[derive(Debug)]
pub enum TokenFrom {
    /// It is known, and to be kept beside the configuration.
    Here(Secret),
    /// It is in a file, which stays where it is.
    File(PathBuf),
    /// The hub gives it.
    Registration,
    /// Somebody puts it where systemd finds it.
    Later,
}

/// Where answers come from.
pub struct Sources<'a> {
    /// What was typed.
    pub options: &'a Init,
    /// Variables, home and host name.
    pub environment: &'a dyn Environment,
    /// What is piped in.
    pub stdin: &'a mut dyn Read,
    /// Who can be asked; `None`: nobody shall be.
    pub person: Option<&'a mut dyn Person>,
}

impl From<Silent> for Failure {
    fn from(silent: Silent) -> Self {
        match silent {
            Silent::Ended => Self::Ended,
            Silent::Interrupted => Self::Interrupted,
        }
    }
}

impl Sources<'_> {
    /// Everything there is to know.
    ///
    /// # Errors
    /// When something is missing, cannot be understood, or nobody answers.
    pub fn gather(&mut self) -> Result<Answers, Failure> {
        let hub_url = self.hub_url()?;
        let token = self.token()?;
        let machine = self.environment.host_name().unwrap_or_else(|| "runtime".to_owned());
        let id = self.id(&machine, &token)?;
        let agents = self.agents()?;
        let work_dir = self.work_dir(&agents)?;
        Ok(Answers { hub_url, token, id, machine, agents, work_dir })
    }

    fn hub_url(&mut self) -> Result<String, Failure> {
        if let Some(given) = &self.options.hub_url {
            return hub_address(given).map_err(Failure::Address);
        }
        let Some(person) = &mut self.person else { return Ok(LOCAL_HUB.to_owned()) };
        let understand = |text: &str| hub_address(text).map_err(Failure::Address);
        Ok(until_understood(&mut **person, "Address of the hub", LOCAL_HUB, understand)?)
    }

    fn token(&mut self) -> Result<TokenFrom, Failure> {
        let options = self.options;
        let given = [
            ("--token-file", options.token_file.is_some()),
            ("--token-stdin", options.token_stdin),
            ("--token", options.token.is_some()),
            ("--register", options.register),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(Failure::TwoTokens(one, other));
        }
        if options.credential && options.token_file.is_some() {
            return Err(Failure::TwoTokens("--token-file", "--credential"));
        }
        if options.register {
            return Ok(TokenFrom::Registration);
        }
        if let Some(file) = &options.token_file {
            token::read(file).map_err(Failure::Token)?;
            return self.absolute(file).map(TokenFrom::File);
        }
        if options.token_stdin {
            return self.piped_token().and_then(|text| here(&text));
        }
        if let Some(token) = &options.token {
            return here(token);
        }
        if let Some(token) = self.environment.variable("AMURG_TOKEN").filter(|v| !v.is_empty()) {
            if let Some(person) = &mut self.person {
                person.tell("The token is that of the variable AMURG_TOKEN.");
            }
            return here(&Zeroizing::new(token.to_string_lossy().into_owned()));
        }
        if options.credential {
            return Ok(TokenFrom::Later);
        }
        let Some(person) = &mut self.person else { return Err(Failure::NoToken) };
        let question = "Token (not shown; press Enter to get one by confirming a code)";
        let token = ask_token(&mut **person, question)?;
        Ok(token.map_or(TokenFrom::Registration, TokenFrom::Here))
    }

    fn piped_token(&mut self) -> Result<Zeroizing<String>, Failure> {
        let unreadable =
            |error| Failure::Token(token::TokenError::Unreadable("stdin".into(), error));
        let longest = 2 * token::LONGEST;
        let mut bytes = Zeroizing::new(Vec::with_capacity(longest));
        self.stdin.take(longest as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::Token(token::TokenError::BadCharacter))?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    }

    fn id(&mut self, machine: &str, token: &TokenFrom) -> Result<String, Failure> {
        if let Some(id) = &self.options.id {
            return Ok(id.clone());
        }
        // A colon breaks time-limited tokens.
        let host = machine.replace(':', "-");
        match &mut self.person {
            Some(person) if !matches!(token, TokenFrom::Registration) => {
                let question = "Name of this runtime in the hub";
                let understand = |text: &str| Ok::<_, Failure>(text.to_owned());
                Ok(until_understood(&mut **person, question, &host, understand)?)
            }
            _ => Ok(host),
        }
    }

    fn agents(&mut self) -> Result<Vec<Agent>, Failure> {
        if !self.options.agent.is_empty() {
            return self.options.agent.iter().map(|given| agents::parse(given)).collect();
        }
        let found = agents::find(self.environment);
        if found.is_empty() {
            return Err(Failure::NoAgents);
        }
        let wanted: Vec<&str> = found
            .iter()
            .filter(|found| found.wanted)
            .map(|found| found.agent.id.as_str())
            .collect();
        let wanted = wanted.join(" ");
        let Some(person) = &mut self.person else { return choose(&found, &wanted) };
        person.tell("Agents on this machine:");
        for Found { agent, program, .. } in &found {
            person.tell(&format!("  {:10} {}", agent.id, program.display()));
        }
        let question = "Which of them to offer (ID=COMMAND adds one)";
        let understand = |text: &str| choose(&found, text);
        Ok(until_understood(&mut **person, question, &wanted, understand)?)
    }

    fn work_dir(&mut self, agents: &[Agent]) -> Result<Option<PathBuf>, Failure> {
        if let Some(directory) = &self.options.work_dir {
            return self.absolute(directory).map(Some);
        }
        let is_program = |agent: &Agent| !matches!(agent.way, agents::Way::Service(_));
        let environment = self.environment;
        match &mut self.person {
            Some(person) if agents.iter().any(is_program) => {
                let understand = |text: &str| directory(text, environment);
                let question = "Directory they work in";
                let chosen = until_understood(&mut **person, question, "~", understand)?;
                Ok(Some(chosen).filter(|chosen| Some(chosen) != environment.home_dir().as_ref()))
            }
            _ => Ok(None),
        }
    }

    /// A path that means the same wherever the runtime is started.
    fn absolute(&self, path: &Path) -> Result<PathBuf, Failure> {
        absolute(&path.to_string_lossy(), self.environment)
    }
}

/// Asks for a token until it can be used; `None`: nothing was typed.
///
/// # Errors
/// When nothing is answered any more.
pub fn ask_token(person: &mut dyn Person, question: &str) -> Result<Option<Secret>, Silent> {
    loop {
        let answer = person.ask_secret(question)?;
        if answer.is_empty() {
            return Ok(None);
        }
        match token::accept(&answer) {
            Ok(token) => return Ok(Some(token)),
            Err(why) => person.tell(&Failure::Token(why).to_string()),
        }
    }
}

fn here(token: &str) -> Result<TokenFrom, Failure> {
    token::accept(token.trim()).map(TokenFrom::Here).map_err(Failure::Token)
}

/// The agents whose ids, or commands, stand in a line.
fn choose(found: &[Found], line: &str) -> Result<Vec<Agent>, Failure> {
    // One word each, a command with spaces in quotes.
    let words = shell_words::split(line).map_err(|_| {
        Failure::Agent(line.to_owned(), "has a quote that is not closed; close it".into())
    })?;
    let words = words.iter().map(|word| word.trim_end_matches(',')).filter(|word| !word.is_empty());
    let agents: Result<Vec<Agent>, Failure> = words
        .map(|word| match found.iter().find(|found| found.agent.id == word) {
            Some(found) => Ok(found.agent.clone()),
            None => agents::parse(word),
        })
        .collect();
    agents.and_then(|agents| if agents.is_empty() { Err(Failure::NoAgents) } else { Ok(agents) })
}

fn absolute(text: &str, environment: &dyn Environment) -> Result<PathBuf, Failure> {
    paths::absolute(text, environment).map_err(|bad| {
        let (what, advice) = bad.explain();
        Failure::Path(text.into(), format!("{what}; {advice}"))
    })
}

fn directory(text: &str, environment: &dyn Environment) -> Result<PathBuf, Failure> {
    let path = absolute(text, environment)?;
    if path.is_dir() {
        return Ok(path);
    }
    Err(Failure::Path(path, "is not a directory; make it, or name another".to_owned()))
}

/// The hub's address as it goes into the configuration: a page's address becomes
/// the socket's, and what is missing is filled in.
fn hub_address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let address = match text.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(_) => text.to_owned(),
        None if is_here(text) || !cfg!(feature = "tls") => format!("ws://{text}"),
        None => format!("wss://{text}"),
    };
    let parsed =
        url::parse_hub(&address).map_err(|bad| format!("{}; {}", bad.message, bad.hint))?;
    if parsed.path == "/" {
        return Ok(format!("{}{}", address.trim_end_matches('/'), url::HUB_PATH));
    }
    Ok(address)
}

/// Whether a host, perhaps with port and path, is this machine.
fn is_here(text: &str) -> bool {
    let authority = text.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    is_loopback(host)
}

/// Whether a host, an IPv6 address without its brackets, is this machine.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed() {
        for (given, address) in [
            ("localhost:8090", "ws://localhost:8090/ws/runtime"),
            ("127.0.0.1", "ws://127.0.0.1/ws/runtime"),
            ("[::1]:80/", "ws://[::1]:80/ws/runtime"),
            ("http://hub:80/", "ws://hub:80/ws/runtime"),
            (" ws://hub/other ", "ws://hub/other"),
        ] {
            assert_eq!(hub_address(given).as_deref(), Ok(address));
        }
        assert!(hub_address("ftp://hub").unwrap_err().contains("neither ws://"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn another_machine_is_reached_by_tls_unless_said_otherwise() {
        for (given, address) in [
            ("hub.example", "wss://hub.example/ws/runtime"),
            ("https://hub.example/", "wss://hub.example/ws/runtime"),
        ] {
            assert_eq!(hub_address(given).as_deref(), Ok(address));
        }
    }
}
