// Package interop holds our SM2, SM3 and SM4 against implementations we did not write: OpenSSL 3,
// BouncyCastle, sm-crypto (npm) and gmssl (PyPI). It has tests only.
//
// `make interop` fetches the four into .cache/interop (YIQIAO_INTEROP names another folder) and runs the
// tests. Without that folder they are skipped, or fail where CI is set. Each peer works through the same
// seeded cases: what it signs and encrypts both of our providers verify and decrypt, and the other way round.
//
// What the peers are known to do wrong is not asked of them; peer.py and peer.js say so at the place.
package interop
