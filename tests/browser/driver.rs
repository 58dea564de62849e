//! A real Chromium, driven over `WebDriver`, with a driver of its own on a free port.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::daemon::PATIENCE;
use crate::support::within;

/// What looks for mistakes that keep people out (WCAG 2.2 AA).
const AXE: &str = include_str!("axe.min.js");
/// How wide the screens are for which pages are looked at.
pub const WIDTHS: [u32; 3] = [1440, 768, 390];

/// How high a picture is at most.
const PICTURE_MAX: u32 = 2000;

/// Chromium's driver, and whatever it has started.
struct Driver(Child);

impl Driver {
    fn start() -> (Self, String) {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromium-driver is installed");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = loop {
            let line = lines.next().expect("it starts").expect("text");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // It must always find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The browser is of its group.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

/// A browser with one window. Dropping it ends it.
pub struct Browser {
    pub client: Client,
    home: String,
    _driver: Driver,
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct Chromium(&'static str, Value);

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.0, "params": self.1}).to_string()))
    }
}

impl Browser {
    /// One that looks at the daemon on this port.
    pub async fn start(http: u16) -> Self {
        let (driver, address) = Driver::start();
        let options = json!({"goog:chromeOptions": {"args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--no-first-run",
        ]}});
        let Value::Object(capabilities) = options else { unreachable!("it is an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = within("a browser", builder.connect(&address)).await.expect("a session");
        let home = format!("http://127.0.0.1:{http}");
        let this = Self { client, home, _driver: driver };
        this.is_wide(WIDTHS[0]).await;
        this
    }

    async fn chromium(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Chromium(command, parameters)).await.expect(command)
    }

    /// Makes the screen so wide.
    pub async fn is_wide(&self, width: u32) {
        self.screen(width, 900).await;
    }

    async fn screen(&self, width: u32, height: u32) {
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.chromium("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// Whether the pages may use JavaScript.
    pub async fn runs_scripts(&self, may: bool) {
        self.chromium("Emulation.setScriptExecutionDisabled", json!({"value": !may})).await;
    }

    /// Makes it a device that likes light colours.
    pub async fn likes_light(&self) {
        let light = json!({"features": [{"name": "prefers-color-scheme", "value": "light"}]});
        self.chromium("Emulation.setEmulatedMedia", light).await;
    }

    /// Opens a page.
    pub async fn open(&self, path: &str) {
        let address = format!("{}{path}", self.home);
        within(path, self.client.goto(&address)).await.expect(path);
    }

    /// The first element of that kind, as soon as there is one.
    pub async fn find(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let Ok(found) = found else {
            panic!("{css} is not on the page:\n{}", self.text().await);
        };
        found
    }

    /// The first element of that kind, if there is one now.
    pub async fn sees(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.expect(css).is_empty()
    }

    /// Waits until a script says so.
    pub async fn until(&self, what: &str, script: &str) {
        let script = format!("return Boolean({script})");
        let waiting = async {
            loop {
                // A page that is being left answers nothing.
                if let Ok(Value::Bool(true)) = self.client.execute(&script, vec![]).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(came, "waited in vain for {what}:\n{}", self.text().await);
    }

    /// Waits until the page says this somewhere.
    pub async fn until_it_says(&self, words: &str) {
        // The eye may be shown capitals.
        let words_json = json!(words.to_lowercase());
        let script = format!(
            "document.body.innerText.replace(/\\s+/g, ' ').toLowerCase().includes({words_json})"
        );
        self.until(words, &script).await;
    }

    /// What a script gives.
    pub async fn value(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.expect(script)
    }

    /// All that can be read on the page.
    pub async fn text(&self) -> String {
        let text = self.client.execute("return document.body.innerText", vec![]).await;
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Clicks the first element of that kind.
    pub async fn click(&self, css: &str) {
        // It may be exchanged by an update in between.
        let clicking = async {
            while self.find(css).await.click().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(css, clicking).await;
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let filling = async {
            loop {
                let field = self.find(css).await;
                if field.clear().await.is_ok() && field.send_keys(text).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(css, filling).await;
    }

    /// Presses a key.
    pub async fn press(&self, key: char) {
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.expect("a key");
    }

    /// That nothing keeps anybody out of this page.
    pub async fn lets_everybody_in(&self, page: &str) {
        assert_eq!(self.barriers().await, json!([]), "{page}");
    }

    /// What keeps people out of this page.
    pub async fn barriers(&self) -> Value {
        self.client.execute(AXE, vec![]).await.expect("axe");
        let script = "const done = arguments[arguments.length - 1]; \
            axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}) \
            .then((found) => done(found.violations.map((one) => one.id + ': ' + one.help + ' ' + \
            one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | '))), (failed) => done([String(failed)]))";
        self.client.execute_async(script, vec![]).await.expect("axe runs")
    }

    /// Looks at the page at every width: nothing is cut off, and nobody is kept out.
    pub async fn look(&self, name: &str) {
        for width in WIDTHS {
            self.look_at(name, width).await;
        }
        self.is_wide(WIDTHS[0]).await;
    }

    /// The same, and takes a picture at each width.
    pub async fn picture(&self, name: &str) {
        for width in WIDTHS {
            self.look_at(name, width).await;
            let high = self.value("return document.documentElement.scrollHeight").await;
            let high = u32::try_from(high.as_u64().expect("a number")).expect("not that high");
            self.screen(width, high.clamp(600, PICTURE_MAX)).await;
            let picture = self.client.screenshot().await.expect("a picture");
            std::fs::write(pictures().join(format!("{name}-{width}.png")), picture)
                .expect("a file");
        }
        self.is_wide(WIDTHS[0]).await;
    }

    async fn look_at(&self, name: &str, width: u32) {
        self.is_wide(width).await;
        self.lets_everybody_in(&format!("{name} at {width}")).await;
        let wide = self.value("return document.documentElement.scrollWidth").await;
        assert!(wide.as_u64() <= Some(width.into()), "{name} at {width}: it is {wide} wide");
    }

    /// Ends it in order.
    pub async fn close(self) {
        self.client.clone().close().await.expect("it ends");
    }
}

/// Where pictures go: into the folder that `NIGHTRUN_PICTURES` names, or among what is built.
fn pictures() -> PathBuf {
    let named = std::env::var_os("NIGHTRUN_PICTURES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("board"));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
