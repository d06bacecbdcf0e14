<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:a="http://www.w3.org/2005/Atom" xmlns:h="http://www.w3.org/1999/xhtml" exclude-result-prefixes="a h">
  <xsl:output method="html" encoding="utf-8" indent="yes"/>
  <xsl:key name="month" match="a:entry" use="substring(a:updated, 1, 7)"/>
  <xsl:template match="/a:feed">
    <html>
      <head><title><xsl:value-of select="a:title"/></title></head>
      <body>
        <h1><xsl:value-of select="a:title"/> by <xsl:value-of select="a:author/a:name"/></h1>
        <xsl:for-each select="a:entry[generate-id() = generate-id(key('month', substring(a:updated, 1, 7))[1])]">
          <xsl:sort select="a:updated"/>
          <h2><xsl:value-of select="substring(a:updated, 1, 7)"/></h2>
          <ul><xsl:apply-templates select="key('month', substring(a:updated, 1, 7))"/></ul>
        </xsl:for-each>
      </body>
    </html>
  </xsl:template>
  <xsl:template match="a:entry">
    <li>
      <a href="{a:link[@rel='alternate']/@href}"><xsl:value-of select="a:title"/></a>:
      <xsl:value-of select="a:content//h:p | a:summary"/>
    </li>
  </xsl:template>
</xsl:stylesheet>
