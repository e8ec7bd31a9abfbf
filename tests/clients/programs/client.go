// lib/pq, pgx and go-sql-driver/mysql, as the argument says. The contract is that of tests/clients/client.py.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgconn"
	_ "github.com/jackc/pgx/v4/stdlib"
	"github.com/lib/pq"
)

type texts map[string]string

const encryptedPostgresql = "SELECT CASE WHEN ssl THEN 'yes' ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

func postgresqlName(request texts) string {
	words := texts{"user": request["user"], "password": request["password"], "dbname": request["database"],
		"host": request["host"], "port": request["port"], "connect_timeout": "10"}
	if socket, ok := request["socket"]; ok {
		words["host"] = filepath.Dir(socket)
		words["port"] = strings.TrimPrefix(filepath.Ext(socket), ".")
	}
	if request["tls"] != "default" {
		words["sslmode"] = request["tls"]
	}
	if request["tls"] == "verify-full" {
		words["sslrootcert"] = request["ca"]
	}
	for _, key := range []string{"sslcert", "sslkey"} {
		if value, ok := request[key]; ok {
			words[key] = value
		}
	}
	var settings []string
	for key, value := range words {
		settings = append(settings, fmt.Sprintf("%s='%s'", key, value))
	}
	return strings.Join(settings, " ")
}

func mysqlName(request texts) (string, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = request["user"], request["password"], request["database"]
	config.Net, config.Addr = "tcp", request["host"]+":"+request["port"]
	config.Timeout = 10 * time.Second
	if socket, ok := request["socket"]; ok {
		config.Net, config.Addr = "unix", socket
	}
	switch request["tls"] {
	case "disable":
		config.TLSConfig = "false"
	case "require":
		config.TLSConfig = "skip-verify"
	case "verify-full":
		authority, err := os.ReadFile(request["ca"])
		if err != nil {
			return "", err
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(authority)
		config.TLSConfig = "verify-full"
		wish := &tls.Config{RootCAs: trusted, ServerName: request["host"]}
		if err := mysql.RegisterTLSConfig(config.TLSConfig, wish); err != nil {
			return "", err
		}
	}
	return config.FormatDSN(), nil
}

func ask(driver string, request texts) (texts, error) {
	name, insert, encrypted := postgresqlName(request), "INSERT INTO words VALUES ($1)", encryptedPostgresql
	if driver == "mysql" {
		var err error
		if name, err = mysqlName(request); err != nil {
			return nil, err
		}
		insert, encrypted = "INSERT INTO words VALUES (?)", "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
	}
	pool, err := sql.Open(driver, name)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	session, err := pool.Conn(within)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if _, err := session.ExecContext(within, "CREATE TEMPORARY TABLE words (word VARCHAR(80))"); err != nil {
		return nil, err
	}
	if _, err := session.ExecContext(within, insert, request["text"]); err != nil {
		return nil, err
	}
	var one int
	if err := session.QueryRowContext(within, "SELECT 1").Scan(&one); err != nil {
		return nil, err
	}
	var text, cipher string
	if err := session.QueryRowContext(within, "SELECT word FROM words").Scan(&text); err != nil {
		return nil, err
	}
	told := []interface{}{&cipher}
	if driver == "mysql" {
		told = []interface{}{new(string), &cipher}
	}
	if err := session.QueryRowContext(within, encrypted).Scan(told...); err != nil {
		return nil, err
	}
	answer := texts{"ok": "", "text": text, "encrypted": cipher}
	if one == 1 {
		answer["ok"] = "yes"
	}
	return answer, nil
}

func code(err error) string {
	var ofPq *pq.Error
	var ofPgx *pgconn.PgError
	var ofMysql *mysql.MySQLError
	switch {
	case errors.As(err, &ofPq):
		return string(ofPq.Code)
	case errors.As(err, &ofPgx):
		return ofPgx.Code
	case errors.As(err, &ofMysql):
		return fmt.Sprint(ofMysql.Number)
	}
	return ""
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request texts
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			panic(err)
		}
		answer, err := ask(os.Args[1], request)
		if err != nil {
			answer = texts{"ok": "", "code": code(err), "message": err.Error()}
		}
		answer["version"] = os.Args[2]
		line, _ := json.Marshal(answer)
		fmt.Println(string(line))
	}
}
