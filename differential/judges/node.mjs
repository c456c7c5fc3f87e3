// jose and fast-jwt judge tokens; python.py says what comes in and what goes out.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

// The folder that the packages were installed in.
const require = createRequire(pathToFileURL(join(process.argv[2], 'package.json')))
const { jwtVerify, errors } = await import(pathToFileURL(require.resolve('jose')))
const { createVerifier, TokenError } = require('fast-jwt')
const version = name =>
  JSON.parse(readFileSync(join(process.argv[2], 'node_modules', name, 'package.json'))).version

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const setup = JSON.parse((await lines.next()).value)
const secrets = setup.secrets.map(secret => Buffer.from(secret, 'hex'))
const keys = await Promise.all(
  secrets.map(secret => crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']))
)
const verifiers = secrets.map(key =>
  createVerifier({ key, algorithms: ['HS256'], clockTimestamp: setup.now * 1000, requiredClaims: ['sub'] })
)
const options = { algorithms: ['HS256'], currentDate: new Date(setup.now * 1000), requiredClaims: ['sub'] }

const byJose = async (secret, token) => (await jwtVerify(token, keys[secret], options)).payload
const byFastJwt = async (secret, token) => verifiers[secret](token)
const judges = [
  [byJose, errors.JOSEError],
  [byFastJwt, TokenError]
]

// What was understood, as far as it can be compared.
const reading = ({ sub, exp }) => ({
  sub: typeof sub === 'string' && /^[\x00-\x7f]*$/.test(sub) ? sub : null,
  exp: typeof exp === 'number' && Math.abs(exp) < 1e18 ? String(BigInt(Math.trunc(exp))) : null
})

async function verdict([judge, OwnError], secret, token) {
  try {
    return reading(await judge(secret, token))
  } catch (error) {
    const refused = error.code ?? error.name
    return error instanceof OwnError ? { refused } : { refused, foreign: true }
  }
}

const names = [`jose ${version('jose')}`, `fast-jwt ${version('fast-jwt')}`]
console.log(JSON.stringify({ judges: names, runtime: `Node.js ${process.versions.node}` }))
let answers = []
for await (const line of lines) {
  const [number, text] = line.split('\t')
  // As Node hands a header's value over.
  const token = Buffer.from(text, 'base64').toString('latin1')
  const verdicts = []
  for (const judge of judges) verdicts.push(await verdict(judge, Number(number), token))
  answers.push(JSON.stringify(verdicts))
  if (answers.length === 1000) {
    process.stdout.write(answers.join('\n') + '\n')
    answers = []
  }
}
process.stdout.write(answers.map(answer => answer + '\n').join(''))
