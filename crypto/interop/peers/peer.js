// The sm-crypto peer: one request a line, fields in hex, one answer a line. "error" is a refusal.
// Usage: node peer.js FOLDER-OF-NODE_MODULES
'use strict'
const path = require('path')
const readline = require('readline')
const {sm2, sm3, sm4} = require(path.join(process.argv[2], 'node_modules', 'sm-crypto'))

const bytes = hex => hex.match(/../g)?.map(h => parseInt(h, 16)) || []
const hex = list => Array.from(list, b => b.toString(16).padStart(2, '0')).join('')

const ops = {
  sm3: msg => sm3(bytes(msg)),
  // hash: without it the library signs the message as if it were the digest; der: raw r||s.
  sign: (d, pub, uid, msg) => sm2.doSignature(bytes(msg), d, {hash: true, der: false, publicKey: pub, userId: Buffer.from(uid, 'hex').toString()}),
  verify: (pub, uid, msg, sig) => String(sm2.doVerifySignature(bytes(msg), sig, pub, {hash: true, der: false, userId: Buffer.from(uid, 'hex').toString()})),
  encrypt: (pub, msg) => '04' + sm2.doEncrypt(bytes(msg), pub, 1), // it leaves the 04 out
  decrypt: (d, c) => {
    const out = sm2.doDecrypt(c.slice(2), d, 1, {output: 'array'}) // [] when C3 does not fit
    return out.length ? hex(out) : 'error'
  },
  sm4: (mode, dir, key, iv, msg) => {
    const options = {padding: 'pkcs#7', output: 'array', mode}
    if (mode === 'cbc') options.iv = iv
    return hex(dir === 'enc' ? sm4.encrypt(bytes(msg), key, options) : sm4.decrypt(bytes(msg), key, options))
  },
}

readline.createInterface({input: process.stdin, crlfDelay: Infinity}).on('line', line => {
  const [op, ...args] = line.split(' ').map(a => a === '-' ? '' : a)
  let answer
  try {
    answer = ops[op](...args)
  } catch (e) {
    answer = 'error'
  }
  process.stdout.write((answer || '-') + '\n')
})
