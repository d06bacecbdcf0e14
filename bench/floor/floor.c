/* The least a server can do: one thread, epoll, a constant HTTP/1.1 answer on keep-alive connections.
 * accept4, epoll_wait (level), recv, look for the blank line, send. What is below this is the kernel's.
 * Usage: floor PORT        Build: cc -O2 -o floor floor.c */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char RESP[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 13\r\n"
    "Server: floor\r\n"
    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "\r\n"
    "Hello, World!";

#define MAXFD 4096
static struct { char buf[8192]; int len; } *conn[MAXFD];

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 8000, one = 1;
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 1024)) { perror("bind"); return 1; }
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = ls}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd == ls) {
                for (;;) {
                    int c = accept4(ls, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
                    if (c < 0) break;
                    if (c >= MAXFD) { close(c); continue; }
                    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    if (!conn[c]) conn[c] = malloc(sizeof *conn[c]);
                    conn[c]->len = 0;
                    ev.events = EPOLLIN; ev.data.fd = c;
                    epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
                }
                continue;
            }
            char *b = conn[fd]->buf;
            int len = conn[fd]->len;
            ssize_t r = recv(fd, b + len, sizeof conn[fd]->buf - len, 0);
            if (r <= 0) {
                if (r < 0 && errno == EAGAIN) continue;
                close(fd);
                continue;
            }
            len += r;
            char *p = b, *end = b + len, *q;
            while ((q = memmem(p, end - p, "\r\n\r\n", 4))) {
                if (send(fd, RESP, sizeof RESP - 1, MSG_NOSIGNAL) < 0) { p = NULL; break; }
                p = q + 4;
            }
            if (!p || (p == b && len == sizeof conn[fd]->buf)) { close(fd); continue; }
            memmove(b, p, end - p);
            conn[fd]->len = end - p;
        }
    }
}
