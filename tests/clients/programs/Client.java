import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * pgjdbc, MariaDB's Connector/J and MySQL's, whichever the class path has and the argument names. The contract is that of
 * tests/clients/client.py: a flat JSON object of strings in a line, and one back for each.
 */
public class Client {
    private static final Pattern MEMBER = Pattern.compile("\"(\\w+)\": ?\"((?:[^\"\\\\]|\\\\.)*)\"");
    private static final String ENCRYPTED_POSTGRESQL =
        "SELECT CASE WHEN ssl THEN 'yes' ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    private static final String ENCRYPTED_MYSQL = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";

    public static void main(String[] arguments) throws Exception {
        String driver = arguments[0];
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            Map<String, String> request = new HashMap<>();
            for (Matcher member = MEMBER.matcher(line); member.find(); ) {
                request.put(member.group(1), member.group(2).replaceAll("\\\\(.)", "$1"));
            }
            out.println(answer(request, driver));
        }
    }

    private static String answer(Map<String, String> request, String driver) throws Exception {
        boolean postgresql = driver.equals("pgjdbc");
        String url = postgresql ? postgresql(request) : driver.equals("mysql") ? mysql(request) : mariadb(request);
        Properties account = new Properties();
        account.put("user", request.get("user"));
        account.put("password", request.get("password"));
        try (Connection connection = DriverManager.getConnection(url, account);
                Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMPORARY TABLE words (word VARCHAR(80))");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO words VALUES (?)")) {
                insert.setString(1, request.get("text"));
                insert.executeUpdate();
            }
            String one = first(statement, "SELECT 1", 1);
            String text = first(statement, "SELECT word FROM words", 1);
            String encrypted = postgresql
                ? first(statement, ENCRYPTED_POSTGRESQL, 1)
                : first(statement, ENCRYPTED_MYSQL, 2);
            return object(
                "ok", one.equals("1") ? "yes" : "",
                "text", text,
                "encrypted", encrypted,
                "version", connection.getMetaData().getDriverVersion().replaceAll("^\\D*([0-9.]+).*", "$1"));
        } catch (SQLException error) {
            // The driver's own words may be in the cause: a refused handshake is wrapped twice.
            StringBuilder message = new StringBuilder();
            for (Throwable one = error; one != null; one = one.getCause()) {
                message.append(message.length() > 0 ? ": " : "").append(one.getMessage());
            }
            String state = error.getSQLState() == null ? "" : error.getSQLState();
            String number = error.getErrorCode() > 0 ? Integer.toString(error.getErrorCode()) : "";
            return object("ok", "", "code", postgresql ? state : number, "message", message.toString());
        }
    }

    private static String first(Statement statement, String sql, int column) throws SQLException {
        try (ResultSet rows = statement.executeQuery(sql)) {
            return rows.next() ? rows.getString(column) : "";
        }
    }

    private static String postgresql(Map<String, String> request) {
        String url = "jdbc:postgresql://" + request.get("host") + ":" + request.get("port") + "/"
            + request.get("database") + "?loginTimeout=10";
        String tls = request.get("tls");
        if (!tls.equals("default")) {
            url += "&sslmode=" + tls;
        }
        return tls.equals("verify-full") ? url + "&sslrootcert=" + request.get("ca") : url;
    }

    private static String mariadb(Map<String, String> request) {
        String url = "jdbc:mariadb://" + request.get("host") + ":" + request.get("port") + "/"
            + request.get("database") + "?connectTimeout=10000";
        if (request.containsKey("public_key")) {
            url += "&allowPublicKeyRetrieval=true";
        }
        switch (request.get("tls")) {
            case "disable":
                return url + "&useSsl=false";
            case "require":
                return url + "&useSsl=true&trustServerCertificate=true";
            case "verify-full":
                return url + "&useSsl=true&serverSslCert=" + request.get("ca");
            default:
                return url;
        }
    }

    private static String mysql(Map<String, String> request) throws Exception {
        String url = "jdbc:mysql://" + request.get("host") + ":" + request.get("port") + "/"
            + request.get("database") + "?connectTimeout=10000";
        if (request.containsKey("public_key")) {
            url += "&allowPublicKeyRetrieval=true";
        }
        switch (request.get("tls")) {
            case "disable":
                return url + "&sslMode=DISABLED";
            case "require":
                return url + "&sslMode=REQUIRED";
            case "verify-full":
                return url + "&sslMode=VERIFY_IDENTITY&trustCertificateKeyStoreType=PKCS12"
                    + "&trustCertificateKeyStorePassword=public&trustCertificateKeyStoreUrl=" + keyStore(request.get("ca"));
            default:
                return url;
        }
    }

    /** Of a file in PEM form, which MySQL's does not read. */
    private static URI keyStore(String authority) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (InputStream file = Files.newInputStream(Path.of(authority))) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        Path path = Files.createTempFile("authority", ".p12");
        path.toFile().deleteOnExit();
        try (OutputStream file = Files.newOutputStream(path)) {
            store.store(file, "public".toCharArray());
        }
        return path.toUri();
    }

    private static String object(String... members) {
        StringBuilder text = new StringBuilder("{");
        for (int i = 0; i < members.length; i += 2) {
            text.append(i > 0 ? ", " : "").append(quoted(members[i])).append(": ").append(quoted(members[i + 1]));
        }
        return text.append("}").toString();
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c < 0x20 || c == '"' || c == '\\') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
