"""HTTP/1.1 for ``fate-ext serve``: cheroot's threads and connections, with a strict reader of requests before them.

Strangers reach this server. So a request gets a thread only once it is there (:mod:`.connections`), is refused where
two programs may read it in two ways (:mod:`.request`), and its body is read in bounded pieces (:mod:`.body`).
"""
