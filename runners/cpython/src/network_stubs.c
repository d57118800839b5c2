/* Name lookup for _socket: declared by the libc headers, absent from the library. Every lookup fails. */
#include <netdb.h>
#include <stddef.h>

static int host_error = HOST_NOT_FOUND;

int *__h_errno_location(void) { return &host_error; }
const char *hstrerror(int code) { return "name lookup is not available"; }
struct hostent *gethostbyname(const char *name) { return NULL; }
struct hostent *gethostbyaddr(const void *address, socklen_t length, int family) { return NULL; }
struct servent *getservbyname(const char *name, const char *protocol) { return NULL; }
struct servent *getservbyport(int port, const char *protocol) { return NULL; }
struct protoent *getprotobyname(const char *name) { return NULL; }
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    return EAI_FAIL;
}
void freeaddrinfo(struct addrinfo *list) {}
int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
                socklen_t service_size, int flags)
{
    return EAI_FAIL;
}
const char *gai_strerror(int code) { return "name lookup is not available"; }
