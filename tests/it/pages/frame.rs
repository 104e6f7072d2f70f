//! What holds for every page: languages, headers, size, sessions, the socket.
