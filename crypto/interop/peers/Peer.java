import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.security.SecureRandom;
import org.bouncycastle.asn1.gm.GMNamedCurves;
import org.bouncycastle.asn1.x9.X9ECParameters;
import org.bouncycastle.crypto.BlockCipher;
import org.bouncycastle.crypto.CipherParameters;
import org.bouncycastle.crypto.digests.SM3Digest;
import org.bouncycastle.crypto.engines.SM2Engine;
import org.bouncycastle.crypto.engines.SM4Engine;
import org.bouncycastle.crypto.modes.CBCBlockCipher;
import org.bouncycastle.crypto.paddings.PKCS7Padding;
import org.bouncycastle.crypto.paddings.PaddedBufferedBlockCipher;
import org.bouncycastle.crypto.params.ECDomainParameters;
import org.bouncycastle.crypto.params.ECPrivateKeyParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.params.ParametersWithIV;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.util.encoders.Hex;

/** The BouncyCastle peer: one request a line, fields in hex, one answer a line. "error" is a refusal. */
public class Peer {
    private static final X9ECParameters CURVE = GMNamedCurves.getByName("sm2p256v1");
    private static final ECDomainParameters DOMAIN =
            new ECDomainParameters(CURVE.getCurve(), CURVE.getG(), CURVE.getN(), CURVE.getH());
    private static final SecureRandom RANDOM = new SecureRandom();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "US-ASCII"));
        for (String line; (line = in.readLine()) != null; ) {
            String[] f = line.split(" ");
            for (int i = 0; i < f.length; i++) {
                f[i] = f[i].equals("-") ? "" : f[i];
            }
            String answer;
            try {
                answer = answer(f);
            } catch (Exception e) {
                answer = "error";
            }
            System.out.println(answer.isEmpty() ? "-" : answer);
            System.out.flush();
        }
    }

    private static String answer(String[] f) throws Exception {
        switch (f[0]) {
            case "sm3": {
                byte[] msg = Hex.decode(f[1]);
                SM3Digest d = new SM3Digest();
                d.update(msg, 0, msg.length);
                byte[] out = new byte[32];
                d.doFinal(out, 0);
                return Hex.toHexString(out);
            }
            case "sign": {
                byte[] msg = Hex.decode(f[4]);
                SM2Signer s = new SM2Signer(PlainDSAEncoding.INSTANCE);
                s.init(true, new ParametersWithID(new ParametersWithRandom(priv(f[1]), RANDOM), Hex.decode(f[3])));
                s.update(msg, 0, msg.length);
                return Hex.toHexString(s.generateSignature());
            }
            case "verify": {
                byte[] msg = Hex.decode(f[3]);
                SM2Signer s = new SM2Signer(PlainDSAEncoding.INSTANCE);
                s.init(false, new ParametersWithID(pub(f[1]), Hex.decode(f[2])));
                s.update(msg, 0, msg.length);
                return String.valueOf(s.verifySignature(Hex.decode(f[4])));
            }
            case "encrypt": {
                byte[] msg = Hex.decode(f[2]);
                SM2Engine e = new SM2Engine(SM2Engine.Mode.C1C3C2);
                e.init(true, new ParametersWithRandom(pub(f[1]), RANDOM));
                return Hex.toHexString(e.processBlock(msg, 0, msg.length));
            }
            case "decrypt": {
                byte[] c = Hex.decode(f[2]);
                SM2Engine e = new SM2Engine(SM2Engine.Mode.C1C3C2);
                e.init(false, priv(f[1]));
                return Hex.toHexString(e.processBlock(c, 0, c.length));
            }
            case "sm4":
                return sm4(f[1], f[2].equals("enc"), Hex.decode(f[3]), Hex.decode(f[4]), Hex.decode(f[5]));
            default:
                return "error";
        }
    }

    private static String sm4(String mode, boolean enc, byte[] key, byte[] iv, byte[] msg) throws Exception {
        BlockCipher b = new SM4Engine();
        CipherParameters p = new KeyParameter(key);
        if (mode.equals("cbc")) {
            b = CBCBlockCipher.newInstance(b);
            p = new ParametersWithIV(p, iv);
        }
        PaddedBufferedBlockCipher c = new PaddedBufferedBlockCipher(b, new PKCS7Padding());
        c.init(enc, p);
        byte[] out = new byte[c.getOutputSize(msg.length)];
        int n = c.processBytes(msg, 0, msg.length, out, 0);
        n += c.doFinal(out, n);
        return Hex.toHexString(out, 0, n);
    }

    private static ECPrivateKeyParameters priv(String d) {
        return new ECPrivateKeyParameters(new BigInteger(1, Hex.decode(d)), DOMAIN);
    }

    private static ECPublicKeyParameters pub(String point) {
        return new ECPublicKeyParameters(CURVE.getCurve().decodePoint(Hex.decode(point)), DOMAIN);
    }
}
