package audit

// The Merkle tree of RFC 6962 over entry hashes, with SM3: a leaf is SM3(0x00 hash), a node
// SM3(0x01 left right), and the left subtree of n leaves has the greatest power of two below n.

type sm3Func = func(...[]byte) [32]byte

func leaf(sm3 sm3Func, h [32]byte) [32]byte { return sm3([]byte{0}, h[:]) }

func node(sm3 sm3Func, l, r [32]byte) [32]byte { return sm3([]byte{1}, l[:], r[:]) }

// split is the size of the left subtree of n > 1 leaves.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// treeRoot of no hashes is zero.
func treeRoot(sm3 sm3Func, hashes [][32]byte) [32]byte {
	switch n := len(hashes); n {
	case 0:
		return [32]byte{}
	case 1:
		return leaf(sm3, hashes[0])
	default:
		k := split(n)
		return node(sm3, treeRoot(sm3, hashes[:k]), treeRoot(sm3, hashes[k:]))
	}
}

// treePath is what leads from leaf i to the root, nearest first.
func treePath(sm3 sm3Func, hashes [][32]byte, i int) [][32]byte {
	n := len(hashes)
	if n < 2 {
		return nil
	}
	k := split(n)
	if i < k {
		return append(treePath(sm3, hashes[:k], i), treeRoot(sm3, hashes[k:]))
	}
	return append(treePath(sm3, hashes[k:], i-k), treeRoot(sm3, hashes[:k]))
}

// treeClimb is the root that a path leads to from leaf i of n; false when the path can not be one.
func treeClimb(sm3 sm3Func, h [32]byte, i, n int, path [][32]byte) (root [32]byte, ok bool) {
	if i < 0 || i >= n {
		return root, false
	}
	if n == 1 {
		return leaf(sm3, h), len(path) == 0
	}
	if len(path) == 0 {
		return root, false
	}
	k, last := split(n), path[len(path)-1]
	if i < k {
		below, ok := treeClimb(sm3, h, i, k, path[:len(path)-1])
		return node(sm3, below, last), ok
	}
	below, ok := treeClimb(sm3, h, i-k, n-k, path[:len(path)-1])
	return node(sm3, last, below), ok
}
