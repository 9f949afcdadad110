// A vSphere server for the tests, over the simulator of govmomi: an ESXi host or a vCenter, with TLS.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	vcenter := flag.Bool("vpx", false, "a vCenter instead of an ESXi host")
	listen := flag.String("listen", "127.0.0.1:0", "address")
	user := flag.String("user", "firedrill", "who may log in")
	password := flag.String("password", "secret", "with which password")
	vms := flag.Int("vm", 2, "VMs of each resource pool")
	datastores := flag.Int("ds", 1, "datastores")
	datacenters := flag.Int("dc", 1, "data centers")
	folders := flag.Int("folder", 0, "data centers that lie in folders")
	certificate := flag.String("cert", "", "PEM of the certificate; plain HTTP without")
	key := flag.String("key", "", "PEM of its key")
	flag.Parse()

	model := simulator.ESX()
	if *vcenter {
		model = simulator.VPX()
		model.Datacenter = *datacenters
		model.Folder = *folders
	}
	model.Machine = *vms
	model.Datastore = *datastores
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	server := model.Service.NewServer()
	// The tests wait for this line.
	fmt.Fprintf(os.Stderr, "listening at %s\n", server.URL.Host)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	server.Close()
}
