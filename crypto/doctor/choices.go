package doctor

// choice is one deviation that the search may try: a rule, how it is broken, and what to say.
type choice struct {
	dim   dim
	value uint8
	Finding
}

// What to do about a deviation of each rule, when its own line says nothing else.
func remedy(d dim) (zh, en string) {
	switch d {
	case dNumber:
		return "金额和数量一律以 JSON 字符串发送 (如 \"0.10\"), 双方就不会有分歧; 或请对方按 BigDecimal 原文取数",
			"send every amount and count as a JSON string; or ask them to keep the literal as BigDecimal does"
	case dTypes, dBool:
		return "请对方把 data 内每一层的数字和布尔值都转成字符串再签名; 或者我方只发送字符串",
			"ask them to turn numbers and booleans of every level into strings before signing; or send strings only"
	case dEmpty, dItem:
		return "请对方在签名前去掉值为 null、\"\"、[] 的成员; 我方也可以干脆不发送空成员",
			"ask them to drop members that are null, \"\" or [] before signing; or do not send empty members at all"
	case dOrder:
		return "请对方逐层按字段名的 ASCII 顺序排序; 避免只有大小写不同的字段名",
			"ask them to sort by name, ordinal, at every level; avoid names that differ by case only"
	case dNest:
		return "请对方对 data 的所有层次做规范化 (排序, 去空, 标量转字符串, 无空格)",
			"ask them to apply the canonical form to every level of data"
	case dMembers:
		return "请对方核对参与签名的顶层成员: 去掉 signData, encData, extra, data 用明文",
			"ask them which top-level members they sign: all but signData, encData and extra, data in the plain"
	case dSuffix:
		return "请对方核对签名串的结尾必须是 &key= 加 appSecret 原文",
			"ask them to end the signing string with &key= and the appSecret as issued"
	case dEscape, dSpace:
		return "请对方用紧凑的 JSON, 只转义引号、反斜杠和控制字符",
			"ask them to write compact JSON that escapes only quote, backslash and control characters"
	case dEnd:
		return "检查文件、编辑器或密钥文件带入的换行、空白和 BOM",
			"look for line ends, blanks and a BOM from files, editors or the secret's file"
	case dCharset:
		return "请对方显式用 UTF-8 取字节 (Java: getBytes(StandardCharsets.UTF_8))",
			"ask them to take bytes as UTF-8 explicitly (Java: getBytes(StandardCharsets.UTF_8))"
	case dUID:
		return "双方改用默认用户标识 1234567812345678; 若对方坚持, 在我方配置 user_id 填同样的值",
			"use the default user id 1234567812345678 on both sides; if they insist, set the same value in our user_id"
	case dZ:
		return "请对方核对 Z 的计算: ENTL 为比特数, 用签名者自己公钥的 X||Y (不含 04)",
			"ask them to check Z: ENTL in bits, X||Y of the signer's own key without 04"
	case dWrap, dHash:
		return "请对方对签名串的 UTF-8 字节直接做 SM2 签名 (SM3(Z||M), sm-crypto 须 hash:true)",
			"ask them to sign the UTF-8 bytes of the string directly: SM3(Z||M), hash:true in sm-crypto"
	}
	return "", ""
}

// choices lists the deviations that do not depend on the case. Codes are permanent.
func choices() []choice {
	var all []choice
	add := func(d dim, value uint8, code, zh, en string) {
		fixZH, fixEN := remedy(d)
		all = append(all, choice{d, value, Finding{Code: code, ZH: zh, EN: en, FixZH: fixZH, FixEN: fixEN}})
	}
	add(dNumber, numberJS, "number-shortest", "数字按 JavaScript/C# 的最短形式写 (0.10 写成 0.1, 1.0 写成 1)", "numbers in the shortest JavaScript/C# form (0.10 as 0.1, 1.0 as 1)")
	add(dNumber, numberVerbatim, "number-verbatim", "数字照抄原文, 指数形式没有换算", "numbers copied as written, exponents not resolved")
	add(dNumber, numberPlain, "number-plain", "数字用 toPlainString, 没有指数", "numbers by toPlainString, without exponents")
	add(dNumber, numberJava, "number-double", "小数当作 Java double 处理 (0.10 写成 0.1, 大数带 E)", "fractions as Java double (0.10 as 0.1, large ones with E)")
	add(dNumber, numberAllReal, "number-all-double", "所有数字当作 Java double, 整数也带 .0 (Gson 的默认做法)", "every number as Java double, integers with .0 too (what Gson does)")
	add(dNumber, numberTwo, "number-two-decimals", "数字统一为两位小数", "numbers written with two decimals")
	add(dTypes, typesKept, "scalars-kept", "data 内的数字和布尔值没有转成字符串", "numbers and booleans inside data were not turned into strings")
	add(dBool, boolCapital, "bool-capital", "布尔值写成 True/False", "booleans as True and False")
	add(dBool, boolDigit, "bool-digit", "布尔值写成 1/0", "booleans as 1 and 0")

	add(dEmpty, emptyNestedText, "empty-text-kept", "data 内的 \"\" 和 [] 保留, 只去掉 null (fastjson 的默认做法)", "\"\" and [] kept inside data, only null dropped (what fastjson does)")
	add(dEmpty, emptyNestedKept, "empty-nested-kept", "data 内的 null、\"\"、[] 保留", "null, \"\" and [] kept inside data")
	add(dEmpty, emptyTopKept, "empty-top-kept", "顶层空成员保留为 name= (例如 transType=)", "empty top-level members kept as name=")
	add(dEmpty, emptyTopNull, "empty-top-null", "顶层空成员保留, null 写成 name=null", "empty top-level members kept, null as name=null")
	add(dEmpty, emptyKept, "empty-kept", "空成员在所有层次都保留", "empty members kept at every level")
	add(dEmpty, emptyNestedNull, "empty-null-text", "data 内的 null 写成字符串 \"null\"", "null inside data written as the text \"null\"")
	add(dEmpty, emptyNestedBlank, "empty-null-blank", "data 内的 null 写成空字符串 \"\"", "null inside data written as \"\"")
	add(dEmpty, emptyObjectDropped, "empty-object-dropped", "空对象 {} 也被去掉", "empty objects {} dropped too")
	add(dItem, itemDropped, "item-dropped", "数组里的空元素被去掉", "empty array items dropped")
	add(dItem, itemKept, "item-kept", "数组里的空元素保留", "empty array items kept")

	add(dOrder, orderFold, "order-fold", "嵌套字段名不分大小写排序", "nested names sorted without regard to case")
	add(dOrder, orderNestedSent, "order-nested-sent", "data 内没有排序, 保持发送顺序", "data not sorted, kept as sent")
	add(dOrder, orderTopSent, "order-top-sent", "顶层没有排序, 保持发送顺序", "top level not sorted, kept as sent")
	add(dOrder, orderSent, "order-sent", "完全没有排序, 保持发送顺序", "nothing sorted, all kept as sent")
	add(dOrder, orderTopName, "order-top-ordinal", "顶层按 ASCII 排序 (大写在前), 没有忽略大小写", "top level sorted ordinal (capitals first) instead of without regard to case")

	add(dNest, nestWeb, "nest-first-level", "只规范化 data 的第一层 (网页 SDK 的做法)", "only the first level of data is canonical (what the web SDK does)")
	add(dNest, nestRaw, "nest-raw", "data 用发送时的原文, 没有规范化", "data signed as it was sent, not canonical")
	add(dNest, nestText, "nest-text", "data 第一层内的对象和数组被转成了 JSON 字符串", "objects and arrays inside data became JSON texts")
	add(dNest, nestJava, "nest-map-text", "data 用了 Java Map.toString 的形式 {a=1, b=2}", "data as Java's Map.toString: {a=1, b=2}")

	add(dMembers, membersEncrypted, "data-encrypted", "data 用了密文而不是明文签名", "the encrypted text was signed as data instead of the plain data")
	add(dMembers, membersNoData, "data-missing", "data 没有参与签名", "data was not signed")
	add(dMembers, membersBoth, "encdata-signed", "encData 也参与了签名", "encData was signed too")
	add(dMembers, membersEncOnly, "encdata-instead", "以 encData 代替 data 参与签名", "encData was signed instead of data")
	add(dMembers, membersExtra, "extra-signed", "extra 也参与了签名", "extra was signed too")
	add(dMembers, membersNoTypes, "types-missing", "encType 和 signType 没有参与签名", "encType and signType were not signed")
	add(dMembers, membersNoTime, "timestamp-missing", "timestamp 没有参与签名", "timestamp was not signed")
	add(dMembers, membersDataOnly, "data-only", "只签了 data 本身, 没有其他成员和 key", "only data itself was signed, without other members and key")
	add(dMembers, membersWhole, "whole-message", "签的是整个报文原文", "the whole message as sent was signed")

	add(dSuffix, suffixNone, "key-missing", "签名串结尾没有 &key=", "the signing string has no &key= at its end")
	add(dSuffix, suffixBare, "key-bare", "appSecret 直接接在后面, 没有 &key=", "the appSecret follows without &key=")
	add(dSuffix, suffixAppSecret, "key-named-appsecret", "结尾写成 &appSecret= 而不是 &key=", "the end says &appSecret= instead of &key=")
	add(dSuffix, suffixKEY, "key-named-upper", "结尾写成 &KEY=", "the end says &KEY=")
	add(dSuffix, suffixKey, "key-named-capital", "结尾写成 &Key=", "the end says &Key=")
	add(dSuffix, suffixLower, "key-lower", "appSecret 被转成了小写", "the appSecret was turned to lower case")
	add(dSuffix, suffixUpper, "key-upper", "appSecret 被转成了大写", "the appSecret was turned to upper case")
	add(dSuffix, suffixSorted, "key-sorted", "key 与其他成员一起排序, 没有放在最后", "key was sorted among the members instead of standing last")
	add(dSuffix, suffixBlank, "key-blank", "结尾是 &key= 但没有 appSecret (对方可能没有配置)", "the end is &key= without the appSecret (perhaps not configured there)")
	add(dSuffix, suffixAmp, "key-ampersand", "结尾只多了一个 &", "only & stands at the end")
	add(dSuffix, suffixFirst, "key-first", "key 放在了最前面", "key stands in front")
	add(dSuffix, suffixAppID, "key-appid", "用 appId 当作了 appSecret", "the appId was used as the appSecret")
	add(dSuffix, suffixJoined, "key-joined", "key= 前面缺少 &", "the & before key= is missing")
	add(dSuffix, suffixAdded, "key-absent-in-text", "所给文本没有 &key=, 签名时有", "the text given has no &key=, the signed one had")
	add(dSuffix, suffixReplaced, "key-differs-in-text", "所给文本里的 key 与 appSecret 不同, 签名用的是 appSecret", "the key in the text given is not the appSecret, with which it was signed")
	add(dSuffix, suffixDoubled, "key-doubled", "已带 key 的文本又加了一次 &key=", "&key= was added once more to a text that had it")

	add(dEscape, escapeLower, "escape-unicode", "中文写成 \\u4e2d 形式", "non-ASCII written as \\u4e2d")
	add(dEscape, escapeUpper, "escape-unicode-upper", "中文写成大写的 \\u4E2D 形式", "non-ASCII written as \\u4E2D")
	add(dEscape, escapeHTML, "escape-html", "< > & 写成 \\u003c 形式 (Go 的默认做法)", "< > & written as \\u003c (what Go does)")
	add(dEscape, escapePHP, "escape-php", "中文写成 \\u4e2d 且 / 写成 \\/ (PHP 的默认做法)", "non-ASCII as \\u4e2d and / as \\/ (what PHP does)")
	add(dEscape, escapeSlash, "escape-slash", "/ 写成 \\/", "/ written as \\/")
	add(dSpace, spacePython, "space-python", "逗号和冒号后有空格 (Python 的默认做法)", "a blank behind comma and colon (what Python does)")

	add(dEnd, endLF, "end-lf", "末尾多一个换行 \\n (常见于 appSecret 文件带换行)", "a line end \\n at the end (often from the secret's file)")
	add(dEnd, endCRLF, "end-crlf", "末尾多一个 \\r\\n (常见于 Windows 保存的 appSecret 文件)", "\\r\\n at the end (often from a secret file saved on Windows)")
	add(dEnd, endToCRLF, "eol-crlf", "内容里的换行 \\n 变成了 \\r\\n", "line ends inside became \\r\\n")
	add(dEnd, endToLF, "eol-lf", "内容里的换行 \\r\\n 变成了 \\n", "line ends inside became \\n")
	add(dEnd, endBOM, "bom", "开头多了 UTF-8 BOM", "a UTF-8 BOM in front")
	add(dEnd, endTrim, "end-trim", "首尾的空白或换行被去掉 (所给文件可能多了一个换行)", "blanks or line ends around the text were removed (the file given may have one too many)")

	add(dCharset, charsetGB, "charset-gb18030", "按 GB18030/GBK 取字节", "bytes taken as GB18030/GBK")
	add(dCharset, charsetQuestion, "charset-question", "中文变成了 ? (默认字符集是 ASCII 或 Latin-1)", "non-ASCII became ? (default charset ASCII or Latin-1)")
	add(dCharset, charsetUTF16LE, "charset-utf16le", "按 UTF-16LE 取字节 (C# Encoding.Unicode)", "bytes taken as UTF-16LE (C# Encoding.Unicode)")
	add(dCharset, charsetUTF16BE, "charset-utf16be", "按 UTF-16BE 取字节", "bytes taken as UTF-16BE")
	add(dCharset, charsetLatin, "charset-twice", "UTF-8 字节被当作 Latin-1 又编码了一次", "UTF-8 bytes taken for Latin-1 and encoded once more")

	add(dZ, zLength, "z-length-bytes", "Z 中的 ENTL 用了字节数而不是比特数", "ENTL of Z counts bytes instead of bits")
	add(dZ, zShifted, "z-key-shifted", "Z 中的公钥带了 04 前缀, 坐标错开一个字节", "the key in Z has its 04, so the coordinates are shifted by a byte")
	add(dZ, zPrefixed, "z-key-prefixed", "Z 中的公钥多了 04 前缀 (65 字节)", "the key in Z has its 04 (65 bytes)")

	add(dWrap, wrapBase64, "message-base64", "签的是签名串的 base64", "base64 of the signing string was signed")
	add(dWrap, wrapHex, "message-hex", "签的是签名串的十六进制文本", "hex of the signing string was signed")
	add(dWrap, wrapSM3, "message-hashed", "签名串先做了一次 SM3 (摘要字节), 再按原文签名", "the signing string was hashed with SM3 first (bytes), then signed as a message")
	add(dWrap, wrapSM3Hex, "message-hashed-hex", "签名串先做了 SM3, 签的是小写十六进制摘要", "the signing string was hashed first and the lower-case hex signed")
	add(dWrap, wrapSM3HexUpper, "message-hashed-hex-upper", "签名串先做了 SM3, 签的是大写十六进制摘要", "the signing string was hashed first and the upper-case hex signed")
	add(dWrap, wrapSM3Base64, "message-hashed-base64", "签名串先做了 SM3, 签的是摘要的 base64", "the signing string was hashed first and base64 of it signed")

	add(dHash, hashNone, "hash-none", "没有做摘要, 原文直接当作 e (sm-crypto 的 hash:false)", "no digest: the message itself is e (sm-crypto with hash:false)")
	add(dHash, hashNoZ, "hash-no-z", "摘要里没有 Z: e = SM3(M)", "no Z in the digest: e = SM3(M)")
	add(dHash, hashTwice, "hash-twice", "e 又被当作原文再做了一次 SM3(Z||e)", "e was taken for a message and hashed again: SM3(Z||e)")
	add(dHash, hashSHA256, "hash-sha256", "摘要用了 SHA-256 而不是 SM3, 没有 Z", "SHA-256 instead of SM3, without Z")
	add(dHash, hashZSHA, "hash-z-sha256", "摘要用了 SHA-256(Z||M) 而不是 SM3", "SHA-256(Z||M) instead of SM3")
	return all
}
