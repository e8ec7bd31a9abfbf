<?php
// mysqli, and PDO with either database, as the argument says. The contract is that of tests/clients/client.py.
error_reporting(E_ALL & ~E_WARNING);  // mysqlnd warns of what it then throws
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

const TABLE = 'CREATE TEMPORARY TABLE words (word VARCHAR(80))';
const INSERT = 'INSERT INTO words VALUES (?)';
const SELECT = 'SELECT word FROM words';
const ENCRYPTED_POSTGRESQL =
    "SELECT CASE WHEN ssl THEN 'yes' ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
const ENCRYPTED_MYSQL = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";

function by_mysqli(array $request): array
{
    // `localhost` is no address for PHP: it means the unix socket of this setting.
    ini_set('mysqli.default_socket', $request['socket'] ?? '');
    $session = mysqli_init();
    $session->options(MYSQLI_OPT_CONNECT_TIMEOUT, 10);
    $flags = 0;
    if ($request['tls'] === 'require') {
        $flags = MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT;
    } elseif ($request['tls'] === 'verify-full') {
        $session->ssl_set(null, null, $request['ca'], null, null);
        $flags = MYSQLI_CLIENT_SSL;
    }
    [$host, $port] = isset($request['socket']) ? ['localhost', 0] : [$request['host'], (int) $request['port']];
    $account = [$request['user'], $request['password'], $request['database']];
    $session->real_connect($host, ...[...$account, $port, null, $flags]);
    $session->query(TABLE);
    $session->prepare(INSERT)->execute([$request['text']]);
    return [
        'ok' => $session->query('SELECT 1')->fetch_row()[0] == 1 ? 'yes' : '',
        'text' => $session->query(SELECT)->fetch_row()[0],
        'encrypted' => $session->query(ENCRYPTED_MYSQL)->fetch_row()[1],
        'version' => 'PHP ' . $session->client_info,
    ];
}

function by_pdo(array $request, bool $postgresql): array
{
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 10];
    $place = isset($request['socket'])
        ? ($postgresql ? 'host=' . dirname($request['socket']) : "unix_socket={$request['socket']}")
        : "host={$request['host']};port={$request['port']}";
    $name = ($postgresql ? 'pgsql:' : 'mysql:') . "$place;dbname={$request['database']}";
    if ($postgresql) {
        if ($request['tls'] !== 'default') {
            $name .= ";sslmode={$request['tls']}";
        }
        if ($request['tls'] === 'verify-full') {
            $name .= ";sslrootcert={$request['ca']}";
        }
        foreach (['sslcert', 'sslkey', 'channel_binding'] as $key) {
            $name .= isset($request[$key]) ? ";$key={$request[$key]}" : '';
        }
    } elseif (in_array($request['tls'], ['require', 'verify-full'])) {
        $options[PDO::MYSQL_ATTR_SSL_CA] = $request['ca'];
        $options[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT] = $request['tls'] === 'verify-full';
    }
    $session = new PDO($name, $request['user'], $request['password'], $options);
    $session->exec(TABLE);
    $session->prepare(INSERT)->execute([$request['text']]);
    return [
        'ok' => $session->query('SELECT 1')->fetchColumn() == 1 ? 'yes' : '',
        'text' => $session->query(SELECT)->fetchColumn(),
        'encrypted' => $postgresql
            ? $session->query(ENCRYPTED_POSTGRESQL)->fetchColumn()
            : $session->query(ENCRYPTED_MYSQL)->fetchColumn(1),
        'version' => 'PHP ' . ($postgresql ? phpversion() . ', libpq ' : '')
            . $session->getAttribute(PDO::ATTR_CLIENT_VERSION),
    ];
}

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true);
    try {
        $answer = $argv[1] === 'mysqli' ? by_mysqli($request) : by_pdo($request, $argv[1] === 'pdo_pgsql');
    } catch (mysqli_sql_exception | PDOException $error) {
        $answer = ['ok' => '', 'code' => (string) $error->getCode(), 'message' => $error->getMessage()];
    }
    echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
