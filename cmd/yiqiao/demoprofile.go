package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/gateway/config"
	simcentre "yiqiao/simulator/centre"
)

// demoProfile is what the starter configuration speaks.
const demoProfile = "mpc+tif"

// demoProfiles lists what --profile takes: envelope and transport.
func demoProfiles() []string {
	var list []string
	for _, c := range envelope.Combinations() {
		list = append(list, c.Envelope+"+"+c.Transport)
	}
	return list
}

// speak changes both ends of the starter configuration in dir to another envelope and transport; address
// is where the simulator listens.
func speak(profile, dir string, ours, theirs *endpointSettings, address func() string) (late func(), err error) {
	late = func() {}
	if profile == "" || profile == demoProfile {
		return late, nil
	}
	envelopeName, transport, ok := strings.Cut(profile, "+")
	if ok {
		_, err = envelope.Compose(envelopeName, transport)
	}
	if !ok || err != nil {
		return late, fmt.Errorf("没有通道 %s, 可选: %s / there is no such profile", profile, strings.Join(demoProfiles(), " "))
	}
	for _, e := range []*endpointSettings{ours, theirs} {
		was := *e
		*e = endpointSettings{Envelope: envelopeName, Transport: transport}
		if envelopeName != "none" {
			e.AppID, e.AppSecret = was.AppID, was.AppSecret
		}
		if envelopeName != "none" || transport == "oauth-cainfo" {
			e.PrivateKey, e.PeerKeys = was.PrivateKey, was.PeerKeys
		}
		switch transport {
		case "tif":
			e.PaasID, e.Token = was.PaasID, was.Token
		case "csb":
			e.APIName, e.APIVersion, e.AccessKey, e.SecretKey = "hssServives", "1.0.0", "file:secrets/csb-access", "file:secrets/csb-secret"
		case "oauth-cainfo":
			e.ClientID, e.ClientSecret, e.Username, e.Password = "file:secrets/client-id", "file:secrets/client-secret", "demo_hosp", "file:secrets/oauth-password"
		}
	}
	// Whoever listens on a port of its own choice has no address before it does.
	late = func() {
		if transport == "oauth-cainfo" {
			ours.TokenURL = "http://" + address() + simcentre.TokenPath
		}
	}
	files := map[config.Secret]string{"csb-access": randomHex(16), "csb-secret": randomHex(20), "client-id": randomHex(8), "client-secret": randomHex(16), "oauth-password": randomHex(8)}
	for name, text := range files {
		if err := keys.WriteFile(filepath.Join(dir, "secrets", string(name)), text+"\n"); err != nil {
			return late, err
		}
	}
	return late, nil
}

// profileZH says what protects the line.
func profileZH(profile string) string {
	envelopeName, transport, _ := strings.Cut(profile, "+")
	body := map[string]string{"mpc": "SM2 签名 + SM4 加密报文", "epc": "SM2 签名 + SM4 加密报文 (处方中心形式)", "none": "报文不加密"}[envelopeName]
	head := map[string]string{"plain": "无请求头签名", "tif": "x-tif 请求头签名", "csb": "_api_ 请求头签名 (HMAC-SHA1)", "oauth-cainfo": "OAuth2 令牌 + cainfo 签名、input 加密"}[transport]
	if transport == "oauth-cainfo" {
		return head
	}
	return body + ", " + head
}
