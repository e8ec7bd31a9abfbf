// node's pg and mysql2, as the argument says; their directory is in NODE_PATH. The contract is that of
// tests/clients/client.py.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')

const TABLE = 'CREATE TEMPORARY TABLE words (word VARCHAR(80))'
const SELECT = 'SELECT word FROM words'

function tls (request) {
  switch (request.tls) {
    case 'require': return { rejectUnauthorized: false }
    case 'verify-full': return { ca: fs.readFileSync(request.ca, 'utf8'), rejectUnauthorized: true, verifyIdentity: true }
    case 'disable': return false
    default: return undefined
  }
}

async function byPg (request) {
  const { Client } = require('pg')
  let ssl = tls(request)
  if (request.sslcert) {
    ssl = { ...ssl, cert: fs.readFileSync(request.sslcert, 'utf8'), key: fs.readFileSync(request.sslkey, 'utf8') }
  }
  const { user, password, database, text } = request
  const place = request.socket
    ? { host: path.dirname(request.socket), port: Number(request.socket.split('.').pop()) }
    : { host: request.host, port: Number(request.port) }
  const session = new Client({ ...place, user, password, database, ssl, connectionTimeoutMillis: 10000 })
  session.on('error', () => {}) // told once more, after the query has failed
  try {
    await session.connect()
    await session.query(TABLE)
    await session.query('INSERT INTO words VALUES ($1)', [text])
    const one = await session.query('SELECT 1 AS one')
    const word = await session.query(SELECT)
    const encrypted = await session.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    return {
      ok: one.rows[0].one === 1 ? 'yes' : '',
      text: word.rows[0].word,
      encrypted: encrypted.rows[0].ssl ? 'yes' : '',
      version: require('pg/package.json').version
    }
  } finally {
    await session.end().catch(() => {})
  }
}

async function byMysql2 (request) {
  const mysql = require('mysql2/promise')
  const { host, port, user, password, database, text } = request
  const place = request.socket ? { socketPath: request.socket } : { host, port: Number(port) }
  const session = await mysql.createConnection(
    { ...place, user, password, database, ssl: tls(request) || undefined, connectTimeout: 10000 })
  try {
    await session.query(TABLE)
    await session.execute('INSERT INTO words VALUES (?)', [text])
    const [ones] = await session.query('SELECT 1 AS one')
    const [words] = await session.query(SELECT)
    const [ciphers] = await session.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    return {
      ok: ones[0].one === 1 ? 'yes' : '',
      text: words[0].word,
      encrypted: ciphers[0].Value,
      version: require('mysql2/package.json').version
    }
  } finally {
    await session.end()
  }
}

async function main () {
  const ask = process.argv[2] === 'pg' ? byPg : byMysql2
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer
    try {
      answer = await ask(JSON.parse(line))
    } catch (error) {
      answer = { ok: '', code: String(error.errno ?? error.code ?? ''), message: error.message }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
}

main()
