//! A server of vSphere whose every word a test chooses. Plain HTTP; nothing of it is a simulator.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is said to a call.
pub enum Answer {
    /// Status, further headers, and all of the body.
    Whole(u16, &'static str, String),
    /// This again and again, after a beginning.
    Endless(&'static str, &'static str),
    /// The connection is cut.
    Cut,
    /// Nothing, for so long.
    Silence(Duration),
}

/// An answer of the API.
pub fn reply(body: &str) -> Answer {
    Answer::Whole(200, "", envelope(body))
}

/// A fault with its type.
pub fn fault(name: &str) -> Answer {
    let detail = format!("<detail><{name}Fault xmlns=\"urn:vim25\" xsi:type=\"{name}\"/></detail>");
    let body = format!(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>said so</faultstring>{detail}</soapenv:Fault>"
    );
    Answer::Whole(500, "", envelope(&body))
}

pub fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

/// A page of objects; with a token there are more.
pub fn page(method: &str, objects: &[String], token: Option<&str>) -> Answer {
    let token = token.map(|it| format!("<token>{it}</token>")).unwrap_or_default();
    let objects = objects.concat();
    reply(&format!("<{method}Response xmlns=\"urn:vim25\"><returnval>{token}{objects}</returnval></{method}Response>"))
}

/// An object with properties (path, XML of the value) and those that it doesn't tell (path, fault).
pub fn object(kind: &str, id: &str, properties: &[(&str, &str)], missing: &[(&str, &str)]) -> String {
    let told: String = properties
        .iter()
        .map(|(path, value)| format!("<propSet><name>{path}</name><val xsi:type=\"x\">{value}</val></propSet>"))
        .collect();
    let missing: String = missing
        .iter()
        .map(|(path, fault)| format!("<missingSet><path>{path}</path><fault><fault xsi:type=\"{fault}\"/><localizedMessage>no</localizedMessage></fault></missingSet>"))
        .collect();
    format!("<objects><obj type=\"{kind}\">{id}</obj>{told}{missing}</objects>")
}

pub fn host(id: &str, name: &str) -> String {
    let state = ("runtime.connectionState", "connected");
    object("HostSystem", id, &[("name", name), state, ("runtime.inMaintenanceMode", "false")], &[])
}

/// A machine that runs, with further properties.
pub fn vm(id: &str, name: &str, more: &[(&str, &str)]) -> String {
    let mut all = vec![("name", name), ("runtime.connectionState", "connected"), ("runtime.powerState", "poweredOn")];
    all.extend(more);
    object("VirtualMachine", id, &all, &[])
}

/// Answers what isn't about properties as a good server would, and the nth question for properties as the test says.
pub struct StandIn {
    pub url: String,
    /// The method of each call, with its cookie.
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    pub fn new(properties: impl Fn(usize) -> Answer + Send + 'static) -> Self {
        Self::whose_every(move |method, nth| (method.contains("RetrieveProperties")).then(|| properties(nth)))
    }

    /// `answers` sees each method with the number of questions for properties before it; `None` is the usual answer.
    pub fn whose_every(answers: impl Fn(&str, usize) -> Option<Answer> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = asked.clone();
        std::thread::spawn(move || {
            let mut nth = 0;
            for stream in listener.incoming().flatten() {
                let Some((method, body)) = request(&stream) else { continue };
                all.lock().unwrap().push(method.clone());
                let answer = answers(&method, nth).unwrap_or_else(|| usual(&method, &body));
                nth += usize::from(method.contains("RetrieveProperties"));
                say(stream, answer);
            }
        });
        Self { url, asked }
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|it| *it == method).count()
    }
}

fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let method = body.split("Body><").nth(1)?.split(' ').next()?.to_owned();
    Some((method, body))
}

fn usual(method: &str, body: &str) -> Answer {
    let returned = match method {
        "RetrieveServiceContent" => {
            "<returnval><rootFolder type=\"Folder\">root</rootFolder><propertyCollector type=\"PropertyCollector\">pc</propertyCollector><sessionManager type=\"SessionManager\">sm</sessionManager></returnval>"
        }
        "Login" if !body.contains("<password>a&lt;b&amp;c</password>") => return fault("InvalidLogin"),
        _ => "",
    };
    let reply = format!("<{method}Response xmlns=\"urn:vim25\">{returned}</{method}Response>");
    let cookie = "Set-Cookie: vmware_soap_session=\"x\"; Path=/; HttpOnly\r\n";
    Answer::Whole(200, if method == "Login" { cookie } else { "" }, envelope(&reply))
}

fn say(mut stream: TcpStream, answer: Answer) {
    // Whoever has heard enough hangs up.
    let _ = match answer {
        Answer::Whole(status, headers, body) => write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
            body.len()
        ),
        Answer::Endless(beginning, part) => endless(&mut stream, beginning, part),
        Answer::Cut => Ok(()),
        Answer::Silence(time) => {
            std::thread::spawn(move || {
                std::thread::sleep(time);
                drop(stream);
            });
            Ok(())
        }
    };
}

fn endless(stream: &mut TcpStream, beginning: &str, part: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 X\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n{beginning}")?;
    let many = part.repeat((64 << 10) / part.len() + 1);
    loop {
        stream.write_all(many.as_bytes())?;
    }
}
