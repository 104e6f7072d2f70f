/* Preloaded into the program under test: while the file $FAULTS says "STEP NAME ERRNO", that step fails with that error on
   every file whose path ends in NAME; where ERRNO is 0 it does not return while the file says so. Each adds an octet to
   $FAULTS.met. Steps: open, write, flush. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int ends(const char *text, const char *end) {
  size_t all = strlen(text), tail = strlen(end);
  return all >= tail && strcmp(text + all - tail, end) == 0;
}

/* The error that the step is to fail with on a file, 0 where it is not to return, -1 where it is to do its work. */
static int order(const char *step, const char *path) {
  const char *control = getenv("FAULTS");
  char text[256] = {0}, wanted[32], name[128];
  int number, file;
  if (!control || (file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC)) < 0) return -1;
  syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  if (sscanf(text, "%31s %127s %d", wanted, name, &number) != 3 || strcmp(wanted, step)) return -1;
  return ends(path, name) ? number : -1;
}

static int told_to_fail(const char *step, const char *path) {
  const struct timespec moment = {0, 5000000};
  char met[4096];
  int number = order(step, path), file;
  if (number < 0) return 0;
  snprintf(met, sizeof met, "%s.met", getenv("FAULTS"));
  if ((file = syscall(SYS_openat, AT_FDCWD, met, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) >= 0) {
    syscall(SYS_write, file, ".", 1);
    syscall(SYS_close, file);
  }
  while (number == 0) {
    nanosleep(&moment, NULL);
    number = order(step, path);
  }
  errno = number;
  return number > 0;
}

static int told_to_fail_on(const char *step, int fd) {
  char link[64], path[4096] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return readlink(link, path, sizeof path - 1) >= 0 && told_to_fail(step, path);
}

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

ssize_t write(int fd, const void *data, size_t size) {
  return told_to_fail_on("write", fd) ? -1 : REAL(write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  return told_to_fail_on("write", fd) ? -1 : REAL(pwrite, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  return told_to_fail_on("write", fd) ? -1 : REAL(pwrite64, fd, data, size, at);
}

int fsync(int fd) {
  return told_to_fail_on("flush", fd) ? -1 : REAL(fsync, fd);
}

int fdatasync(int fd) {
  return told_to_fail_on("flush", fd) ? -1 : REAL(fdatasync, fd);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return told_to_fail("open", path) ? -1 : REAL(open64, path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return told_to_fail("open", path) ? -1 : REAL(open, path, flags, mode);
}
