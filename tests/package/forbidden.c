// Tries the acts that the sandbox of the daemon forbids.
//
//   forbidden          lists the acts: number, file, directives against the act, properties for the test, description
//   forbidden NUMBER   prints "trying" and tries one act; the exit status is 0 if it succeeds and 1 if not
//   forbidden all      tries each act in its own process and prints the results
//
// In C, because the acts are system calls.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int there(const char *path) { return access(path, F_OK) == 0; }

// Whether this process is in the namespace of PID 1. The test has saved its name, because a sandboxed process cannot read it.
static int shared(const char *kind) {
  char ours[64] = "", theirs[64] = "", path[64];
  snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
  if (readlink(path, ours, sizeof ours - 1) < 0) return 0;
  snprintf(path, sizeof path, "/usr/lib/forbidden/%s", kind);
  return readlink(path, theirs, sizeof theirs - 1) > 0 && !strcmp(ours, theirs);
}

static int owner(const char *path) {
  struct stat found;
  return stat(path, &found) ? -1 : (int)found.st_uid;
}

static int opens_its_files_to_everybody(void) {
  struct stat made;
  int file = open("/tmp", O_TMPFILE | O_WRONLY, 0666);
  return file >= 0 && !fstat(file, &made) && made.st_mode & 0077;
}

static int makes_set_user_id(void) {
  int file = open("/tmp", O_TMPFILE | O_WRONLY, 0600);
  return file >= 0 && !fchmod(file, 04755);
}

static int gives_away(const char *path) { return chown(path, 2, 2) == 0; }

static int runs(const char *path) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    execl(path, path, "root?", (char *)NULL);
    _exit(1);
  }
  return waitpid(child, &status, 0) == child && status == 0;
}

static int makes_and_opens_device(int major, int minor) {
  unlink("/dev/forbidden");
  return mknod("/dev/forbidden", S_IFCHR | 0600, makedev(major, minor)) == 0 && open("/dev/forbidden", O_RDWR) >= 0;
}

static int sends_to(const char *address) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  inet_aton(address, &to.sin_addr);
  int out = socket(AF_INET, SOCK_DGRAM, 0);
  return sendto(out, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;
}

static int listens(int port) {
  struct sockaddr_in on = {.sin_family = AF_INET, .sin_port = htons(port)};
  int in = socket(AF_INET, SOCK_STREAM, 0);
  return bind(in, (struct sockaddr *)&on, sizeof on) == 0;
}

static int executes(int file) {
  return ftruncate(file, 4096) == 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0) != MAP_FAILED;
}

static int makes_control_group(const char *path) {
  rmdir(path);
  return mkdir(path, 0700) == 0;
}

static int goes_realtime(void) {
  struct sched_param most = {.sched_priority = 1};
  return sched_setscheduler(0, SCHED_RR, &most) == 0;
}

static int calls_as_32_bit(void) {
#ifdef __x86_64__
  long result = 20;  // getpid
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return result > 0;
#else
  errno = ENOSYS;
  return 0;
#endif
}

static int reads_another_process(void) {
  static char theirs = 'x';
  char ours;
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  struct iovec to = {&ours, 1}, from = {&theirs, 1};
  int read = process_vm_readv(child, &to, 1, &from, 1, 0) == 1;
  kill(child, 9);
  return read;
}

static int reads_the_clock_controls(void) {
  struct timex asked = {0};
  return adjtimex(&asked) >= 0;
}

static int dumps_core(void) {
  struct rlimit core;
  return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max > 0;
}

#define ROWS                                                                                                           \
  ROW("DynamicUser", "", "read what only root may", open("/etc/shadow", O_RDONLY) >= 0)                                \
  ROW("LimitCORE", "", "leave a core dump", dumps_core())                                                              \
  ROW("RestrictAddressFamilies", "", "listen to every packet", socket(AF_PACKET, SOCK_RAW, 0) >= 0)                    \
  ROW("IPAddressDeny IPAddressAllow", "", "send to the internet", sends_to("203.0.113.1"))                             \
  ROW("IPAddressDeny IPAddressAllow", "", "ask for the machine's credentials", sends_to("169.254.169.254"))            \
  ROW("SocketBindDeny SocketBindAllow", "", "open a port", listens(7777))                                              \
  ROW("ProtectSystem", "", "write a file to /usr", open("/usr/forbidden", O_CREAT | O_WRONLY, 0600) >= 0)              \
  ROW("ProtectHome", "", "see a file in /home", there("/home/secret"))                                                 \
  ROW("PrivateTmp", "", "see a file in /tmp", there("/tmp/secret"))                                                    \
  ROW("PrivateDevices", "", "see another device", there("/dev/secret"))                                                \
  ROW("DevicePolicy", "", "make and open a device", makes_and_opens_device(10, 200))                                   \
  ROW("PrivateMounts", "", "mount for everybody", shared("mnt"))                                                       \
  ROW("NoExecPaths ExecPaths", "", "run another program", runs("/usr/bin/true"))                                       \
  ROW("UMask", "", "create a file that everybody can read", opens_its_files_to_everybody())                            \
  ROW("ProtectProc", "User=nobody", "see processes of others", there("/proc/1/status"))                                \
  ROW("ProcSubset", "", "see files of the kernel in /proc", there("/proc/meminfo"))                                    \
  ROW("PrivateUsers", "", "read the owner of a file", owner("/usr/lib/forbidden/of-user-1") == 1)                          \
  ROW("PrivateIPC", "", "share memory with everybody", shared("ipc"))                                                  \
  ROW("CapabilityBoundingSet", "", "give a file away", gives_away("/var/tmp/mine"))                                    \
  ROW("NoNewPrivileges", "User=nobody", "become root by a set-user-ID program", runs("/usr/lib/forbidden/set-user-id")) \
  ROW("RestrictSUIDSGID", "", "make a set-user-ID program", makes_set_user_id())                                       \
  ROW("ProtectClock", "", "use the clock's controls", reads_the_clock_controls())                                 \
  ROW("ProtectControlGroups", "", "make a control group", makes_control_group("/sys/fs/cgroup/forbidden"))             \
  ROW("ProtectHostname", "", "change the host name", sethostname("forbidden", 9) == 0)                                 \
  ROW("ProtectKernelLogs", "", "read the kernel log", klogctl(10, NULL, 0) >= 0)                                       \
  ROW("ProtectKernelModules", "", "see kernel modules", there("/usr/lib/modules/secret"))                              \
  ROW("ProtectKernelTunables", "", "change a kernel setting", open("/proc/sys/net/ipv4/ip_forward", O_WRONLY) >= 0)    \
  ROW("LockPersonality", "", "switch off address randomisation", personality(ADDR_NO_RANDOMIZE) >= 0)                  \
  ROW("MemoryDenyWriteExecute", "", "have memory that is writable and executable",                                     \
      mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)                      \
  ROW("RestrictNamespaces", "", "make a namespace", unshare(CLONE_NEWUTS) == 0)                                        \
  ROW("RestrictRealtime", "", "get realtime scheduling", goes_realtime())                                              \
  ROW("SystemCallArchitectures", "", "call as a 32-bit program", calls_as_32_bit())                                    \
  ROW("SystemCallFilter SystemCallErrorNumber", "", "execute a file in memory", executes(syscall(SYS_memfd_create, "x", 0))) \
  ROW("SystemCallFilter", "", "use io_uring", syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == EFAULT)             \
  ROW("SystemCallFilter", "", "handle page faults", syscall(SYS_userfaultfd, 1) >= 0)                                  \
  ROW("SystemCallFilter", "", "be traced", ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)                                       \
  ROW("SystemCallFilter", "", "read another process", reads_another_process())                                         \
  ROW("SystemCallFilter", "", "use a keyring", syscall(SYS_keyctl, 0, -3, 1) >= 0)                                     \
  ROW("SystemCallFilter", "", "share memory", shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0)                        \
  ROW("SystemCallFilter", "", "become another user", setresuid(2, 2, 2) == 0)                                          \
  ROW("SystemCallFilter", "", "give a file away", gives_away("/var/tmp/mine"))                                         \
  ROW("SystemCallFilter", "", "raise the own priority", setpriority(PRIO_PROCESS, 0, -5) == 0)                         \
  ROW("SystemCallFilter", "", "mount", mount("none", "/mnt", "tmpfs", 0, NULL) == 0)                                   \
  SEALED("PrivateNetwork", "be in the machine's network", shared("net"))                                               \
  SEALED("RestrictAddressFamilies", "open a socket to anywhere", socket(AF_INET, SOCK_DGRAM, 0) >= 0)

static const struct {
  const char *directives, *base, *what, *file;
} rows[] = {
#define ROW(directives, base, what, act) {directives, base, what, "cla-socketserver.service"},
#define SEALED(directives, what, act) {directives, "", what, "sealed.conf"},
    ROWS
#undef ROW
#undef SEALED
};
static const int count = sizeof rows / sizeof *rows;

static int done(int number) {
#define ROW(directives, base, what, act) if (number-- == 0) return act;
#define SEALED(directives, what, act) if (number-- == 0) return act;
  ROWS
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    for (int i = 0; i < count; i++) printf("%d|%s|%s|%s|%s\n", i, rows[i].file, rows[i].directives, rows[i].base, rows[i].what);
    return 0;
  }
  if (!strcmp(argv[1], "root?")) return geteuid() != 0;
  setvbuf(stdout, NULL, _IONBF, 0);
  if (strcmp(argv[1], "all")) {
    puts("trying");
    return !done(atoi(argv[1]));
  }
  for (int i = 0; i < count; i++) {
    int status;
    pid_t child = fork();
    if (child == 0) _exit(!done(i));
    waitpid(child, &status, 0);
    const char *how = !WIFEXITED(status) ? "killed" : WEXITSTATUS(status) ? "refused" : "done";
    printf("%s|%s|%s\n", how, rows[i].file, rows[i].what);
  }
}
