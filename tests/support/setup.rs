//! A scene before it starts: which hub, which agents, what else is configured.

use std::path::Path;

use amurg_runtime::loopback::{LoopbackHub, Options, ScratchDir};
use amurg_runtime::protocol::Dialect;
use serde_json::{Value, json};

use super::fault_proxy::FaultProxy;
use super::scene::Scene;

/// The token of every scene.
pub const TOKEN: &str = "scene-token";

/// A `generic-cli` agent.
pub fn cli(id: &str, command: &str, args: &[&str]) -> Value {
    json!({ "id": id, "profile": "generic-cli", "cli": { "command": command, "args": args } })
}

/// A `generic-job` agent.
pub fn job(id: &str, command: &str, args: &[&str]) -> Value {
    json!({ "id": id, "profile": "generic-job", "job": { "command": command, "args": args } })
}

/// A `generic-http` agent.
pub fn http(id: &str, base_url: &str) -> Value {
    json!({ "id": id, "profile": "generic-http", "http": { "base_url": base_url } })
}

/// An `external` agent.
pub fn external(id: &str, command: &str, args: &[&str]) -> Value {
    json!({ "id": id, "profile": "external", "external": { "command": command, "args": args } })
}

/// A scene before it starts.
pub struct Setup {
    name: String,
    hub: Options,
    proxy_seed: Option<u64>,
    config: Value,
    variables: Vec<(String, String)>,
    /// Where the runtime is told to dial, if not to the hub or its proxy.
    dial: Option<String>,
}

impl Setup {
    pub(super) fn new(name: &str) -> Self {
        let config = json!({
            "hub": { "token": TOKEN, "reconnect_interval": "100ms" },
            "runtime": { "id": name, "log_level": "debug" },
            "endpoints": [],
        });
        Self {
            name: name.to_owned(),
            hub: Options::new(Dialect::Agent, TOKEN),
            proxy_seed: None,
            config,
            variables: Vec::new(),
            dial: None,
        }
    }

    /// Which kind of hub; newer unless said otherwise.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.hub.dialect = dialect;
        self
    }

    /// Changes what kind of hub it is.
    pub fn hub(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.hub);
        self
    }

    /// Puts a [`FaultProxy`] between runtime and hub.
    pub fn proxy(mut self, seed: u64) -> Self {
        self.proxy_seed = Some(seed);
        self
    }

    /// Lets the runtime dial another address.
    pub fn dial(mut self, url: &str) -> Self {
        self.dial = Some(url.to_owned());
        self
    }

    /// Adds an agent: [`cli`], [`job`], [`http`], [`external`] or any JSON.
    pub fn agent(mut self, agent: Value) -> Self {
        self.config["endpoints"].as_array_mut().expect("a list").push(agent);
        self
    }

    /// Sets a value of the configuration: `.set("/runtime/idle_timeout", json!("1s"))`.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        self.config.pointer_mut(parent).expect("an object there")[name] = value;
        self
    }

    /// Sets a variable in the runtime's environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until the runtime is registered.
    pub fn start(self) -> Scene {
        let scene = self.start_unregistered();
        scene.registered();
        scene
    }

    /// Starts it and waits for nothing.
    pub fn start_unregistered(mut self) -> Scene {
        let hub = LoopbackHub::start(self.hub).expect("a hub");
        let proxy = self.proxy_seed.map(|seed| FaultProxy::start(hub.address(), seed));
        let dir = ScratchDir::new(&format!("amurg-{}", self.name)).expect("a directory");
        let url = proxy.as_ref().map_or_else(|| hub.url(), FaultProxy::url);
        self.config["hub"]["url"] = self.dial.unwrap_or(url).into();
        self.config["runtime"]["state_dir"] = path_value(&dir.path().join("state"));
        let scene = Scene::at(dir, &self.name, self.variables, hub, proxy);
        scene.configure(&self.config);
        scene.launch();
        scene
    }
}

fn path_value(path: &Path) -> Value {
    path.to_str().expect("temporary directories have plain names").into()
}
