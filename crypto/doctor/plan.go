package doctor

// dim is one rule that a side may follow otherwise.
type dim uint8

// The rules that make the text, then those that make the digest of it.
const (
	dNumber  dim = iota
	dTypes       // nested scalars become texts, or keep their type
	dBool        // how true and false are written
	dEmpty       // null, "" and []
	dItem        // the same inside an array
	dOrder       // sorting
	dNest        // how far the canonical form reaches into data
	dMembers     // which top-level members are signed
	dSuffix      // the secret
	dEscape      // inside JSON texts
	dSpace       // between JSON tokens
	dEnd         // ends of lines and of the text
	dCharset

	dSigner
	dUID
	dZ
	dWrap // what is done to the text before it is signed
	dHash
	dims
)

// plan says how text and digest are made; the zero plan is the specification.
type plan [dims]uint8

// dTypes
const typesKept = 1

// dBool
const (
	boolCapital = 1 + iota
	boolDigit
)

// dEmpty
const (
	emptyKept          = 1 + iota // everywhere, nested null as null
	emptyTopKept                  // top level only, null as nothing
	emptyTopNull                  // top level only, null as null
	emptyNestedKept               // below only
	emptyNestedText               // below only, null dropped
	emptyNestedNull               // below only, null as "null"
	emptyNestedBlank              // below only, null as ""
	emptyObjectDropped            // {} goes too
)

// dItem
const (
	itemDropped = 1 + iota
	itemKept
)

// dOrder
const (
	orderFold       = 1 + iota // nested names without regard to case
	orderNestedSent            // nested as sent
	orderTopSent               // top level as sent
	orderSent                  // nothing sorted
	orderTopName               // top level by name, capitals first
)

// dNest
const (
	nestWeb  = 1 + iota // web SDK: the first level of data only
	nestRaw             // the characters of data as they were sent
	nestText            // nested objects and arrays as JSON inside a text
	nestJava            // Map.toString: {a=1, b=2}
)

// dMembers
const (
	membersEncrypted = 1 + iota // data is the encrypted text
	membersNoData               // neither data nor encData
	membersBoth                 // data and encData
	membersEncOnly              // encData instead of data
	membersExtra                // extra too
	membersNoTypes              // without encType and signType
	membersNoTime               // without timestamp
	membersDataOnly             // the text of data alone
	membersWhole                // the whole message as sent
)

// dSuffix
const (
	suffixNone      = 1 + iota
	suffixBare      // the secret without &key=
	suffixAppSecret // &appSecret=
	suffixKEY       // &KEY=
	suffixKey       // &Key=
	suffixLower     // secret in lower case
	suffixUpper     // secret in upper case
	suffixSorted    // key sorted among the members
	suffixBlank     // &key= without the secret
	suffixAmp       // & alone
	suffixFirst     // key=...& in front
	suffixAppID     // the appId as the secret
	suffixAdded     // text only: &key= and the secret behind a text that had none
	suffixReplaced  // text only: our secret instead of the one in the text
	suffixDoubled   // text only: &key= and the secret once more
	suffixJoined    // key= without &
)

// dEscape
const (
	escapeLower = 1 + iota // non-ASCII as \u4e2d
	escapeUpper            // non-ASCII as \u4E2D
	escapeHTML             // < > & as \u003c
	escapePHP              // non-ASCII as \u4e2d and / as \/
	escapeSlash            // / as \/
)

// dSpace
const spacePython = 1

// dEnd
const (
	endLF = 1 + iota
	endCRLF
	endToCRLF // LF inside the text became CRLF
	endToLF   // and the other way round
	endBOM
	endTrim // blanks and line ends around the text removed
)

// dCharset
const (
	charsetGB = 1 + iota
	charsetQuestion
	charsetUTF16LE
	charsetUTF16BE
	charsetLatin // the UTF-8 bytes taken for Latin-1 and encoded again
)

// dWrap
const (
	wrapBase64 = 1 + iota
	wrapHex
	wrapSM3
	wrapSM3Hex
	wrapSM3HexUpper
	wrapSM3Base64
)

// dHash
const (
	hashNone   = 1 + iota // the text itself is the number that is signed (sm-crypto hash:false)
	hashNoZ               // SM3 of the text without Z
	hashTwice             // SM3(Z || e)
	hashSHA256            // SHA-256 without Z
	hashZSHA              // SHA-256(Z || text)
)
