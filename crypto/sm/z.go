package sm

import "encoding/binary"

// zCurve is a||b||xG||yG of sm2p256v1 (GM/T 0003.5), the constant middle of Z.
const zCurve = "" +
	"\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc" +
	"\x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93" +
	"\x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7" +
	"\xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0"

// Z is the digest of user id, curve and public key of GM/T 0003.2 5.5: 32 bytes. It is constant
// for a key and a user id.
func Z(p Provider, key *PublicKey, uid []byte) ([32]byte, error) {
	if key == nil || key.k == nil {
		return [32]byte{}, ErrKey
	}
	if err := checkUID(uid); err != nil {
		return [32]byte{}, err
	}
	var bits [2]byte
	binary.BigEndian.PutUint16(bits[:], uint16(8*len(uid)))
	return p.SM3(bits[:], uid, []byte(zCurve), key.k.point[1:]), nil
}

// Digest is e = SM3(Z(uid)||msg), the number that SM2 signs (GM/T 0003.2 6.1).
func Digest(p Provider, key *PublicKey, uid, msg []byte) ([32]byte, error) {
	z, err := Z(p, key, uid)
	if err != nil {
		return [32]byte{}, err
	}
	return p.SM3(z[:], msg), nil
}

// digest is Digest with Z kept from the last call with the same user id.
func (k *publicKey) digest(p Provider, uid, msg []byte) ([32]byte, error) {
	kept := k.z.Load()
	if kept == nil || kept.uid != string(uid) {
		z, err := Z(p, &PublicKey{k}, uid)
		if err != nil {
			return [32]byte{}, err
		}
		kept = &zOf{uid: string(uid), z: z}
		k.z.Store(kept)
	}
	return p.SM3(kept.z[:], msg), nil
}

func checkUID(uid []byte) error {
	if len(uid) == 0 || len(uid) > maxUID {
		return ErrUID
	}
	return nil
}
