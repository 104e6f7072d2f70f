//! A PostgreSQL of the tests' own: below a temporary folder, on a socket in it, gone when the tests are.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts the server and watches standard input: when the tests end, however they do, it ends too and the server with it.
const WATCH: &str = r#"
trap '' INT TERM HUP
folder=$1 bin=$2 port=$3
cd /
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
[ "$(id -u)" = 0 ] && chown postgres "$folder" "$folder/key.pem"
{
    as "$bin/initdb" -D "$folder/data" -A trust -U postgres -E UTF8 --locale=C --no-sync &&
    as "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
        -o "-k $folder -c listen_addresses=127.0.0.1 -p $port -c fsync=off -c max_connections=300 \
            -c deadlock_timeout=100ms -c ssl=on -c ssl_cert_file=$folder/cert.pem -c ssl_key_file=$folder/key.pem" start
} >"$folder/start.log" 2>&1 </dev/null && echo ready
cat >/dev/null
as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
rm -rf "$folder"
"#;

struct Server {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    /// Its standard input stays open until this process ends.
    _watch: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let bin = newest_bin();
        let folder = tempfile::Builder::new().prefix("karamail-pg").tempdir().unwrap().keep();
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), certified.cert.pem()).unwrap();
        let key = folder.join("key.pem");
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        // The server refuses a key that others may read.
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let port = free_port();
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .args([&folder, &bin])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(watch.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let log = std::fs::read_to_string(folder.join("start.log")).unwrap_or_default();
        assert_eq!(said, "ready\n", "PostgreSQL did not start: {log}");
        Server { folder, bin, port, _watch: watch }
    })
}

/// The server cannot be told to take any port that is free and say which.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Debian keeps the programs of each version apart.
fn newest_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is not installed");
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    found.sort();
    found.into_iter().rfind(|bin| bin.join("initdb").exists()).expect("PostgreSQL is not installed")
}

/// Makes an empty schema; gives the URL that leads to it.
pub fn schema() -> String {
    let name = format!("t{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
    sql(&format!("CREATE SCHEMA {name}"));
    let Server { folder, port, .. } = server();
    let folder = folder.display().to_string().replace('/', "%2F");
    format!("postgres://postgres@{folder}:{port}/postgres?options=-csearch_path%3D{name}")
}

/// Gives the URL that leads to the same schema by TCP, where TLS can be spoken.
pub fn url_by_tcp(url: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres?options=-csearch_path%3D{}", server().port, schema_of(url))
}

/// Gives the name of the schema a URL leads to.
pub fn schema_of(url: &str) -> &str {
    url.rsplit("%3D").next().unwrap()
}

/// Says something to the server past the store; gives what it answers.
pub fn sql(text: &str) -> String {
    let server = server();
    let psql = Command::new(server.bin.join("psql"))
        .arg("-h")
        .arg(&server.folder)
        .args(["-p", &server.port.to_string()])
        .args(["-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text])
        .output()
        .unwrap();
    assert!(psql.status.success(), "{text}: {}", String::from_utf8_lossy(&psql.stderr));
    String::from_utf8(psql.stdout).unwrap()
}
