#!/bin/busybox sh
# The first process of the virtual machine: runs all that is in /tests and says on the console how each ended.
# console.rs reads the lines that begin with "vm: ".
/bin/busybox mkdir -p /proc /sys /dev /tmp /root /run /var
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
export PATH=/sbin:/bin HOME=/root
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t bpf bpf /sys/fs/bpf
ln -s /run /var/run
for module in /modules/*; do
    insmod "$module"
done
ip link set lo up
echo "vm: kernel $(uname -r)"
for test in /tests/*; do
    name=$(basename "$test")
    echo "vm: begin $name"
    "$test" </dev/null 2>&1
    code=$?
    # What a test printed last may have had no end of line.
    echo
    echo "vm: end $name $code"
done
echo "vm: done"
poweroff -f
